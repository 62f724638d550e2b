"""A training job from its arguments to its files, and what it does about a collapse."""

import csv
import json
import os
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from support import TINY_RESIZABLE, make_job, options, training_arguments, training_settings
from trainings import Interrupting
from twinbench.analysis import reading
from twinbench.config.arguments import to_arguments
from twinbench.parity.settings import Case
from twinbench.provenance import Accelerator
from twinbench.training.progress import Progress

ALL_FROZEN = ["conv", "dense", "head"]


def test_history_predictions_and_provenance_hold_what_the_analysis_reads(tmp_path, run_script):
    job = make_job()
    assert run_script("train.py", training_arguments(job, "pytorch", tmp_path)) == 0
    with open(tmp_path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["validation_loss"]) > 0
    predictions = pq.read_table(tmp_path / "predictions.parquet")
    assert predictions["sample_id"].to_pylist() == job.test.sample_ids.tolist()
    assert predictions["label"].to_pylist() == job.test.labels.tolist()
    assert np.isfinite(predictions["logits"].combine_chunks().flatten()).all()
    names = json.loads(predictions.schema.metadata[b"class_names"])
    assert names == job.test.class_names
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["settings"] == job.settings.model_dump()
    assert record["parameters"] == sum(value.size for value in job.initial_weights().values())
    assert record["dataset"]["train_images"] == 48
    assert record["dataset"]["class_names"] == job.train.class_names
    assert record["dataset"]["sha256"].keys() == {"train", "validation", "test"}
    assert record["versions"].keys() >= {"python", "torch", "numpy"}
    assert record["accelerator"] is None and record["device_note"] is None  # on the CPU
    assert record["device"].startswith("CPU (")
    assert record["git"].keys() == {"commit", "dirty"}
    expected = {"run": "run", "seed": 1, "framework": "pytorch", "model": "tiny", "threads": 1}
    expected |= {"precision": "float32", "status": "completed", "diagnosis": None, "epochs_run": 2}
    assert {key: record[key] for key in expected} == expected
    assert record["total_seconds"] >= sum(float(row["seconds"]) for row in rows)
    assert not list(tmp_path.glob(".checkpoint*"))


def test_a_disk_that_is_full_at_any_file_loses_nothing(
    tmp_path, run_script, limit_file_size, caplog
):
    job = make_job(epochs=1)
    undisturbed, disturbed = (tmp_path / name for name in ("undisturbed", "disturbed"))
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    assert run_script("train.py", training_arguments(job, "pytorch", undisturbed)) == 0
    arguments = training_arguments(job, "pytorch", disturbed)
    # By the largest size of a file that fits. Each start gets as far as the first that does not.
    for size, steps, name in (
        (0, 0, ".lock-run"),
        (30, 0, "events.out"),
        (300, 2, ".checkpoint-run"),
        (1000, 0, "predictions.parquet"),
        (10_000, 0, "model.safetensors"),
    ):
        caplog.clear()
        with limit_file_size(size):
            assert run_script("train.py", [*arguments, "--checkpoint-steps", str(steps)]) == 1
        (line,) = [text for text in caplog.messages if text.startswith("error: ")]
        assert "File too large" in line and f"{disturbed}/" in line and name in line
        assert not list(disturbed.rglob("*unfinished*"))
    assert run_script("train.py", arguments) == 0
    for name in ("predictions.parquet", "model.safetensors"):
        assert (disturbed / name).read_bytes() == (undisturbed / name).read_bytes(), name


@pytest.mark.parametrize(("hours_ahead", "trained"), [(1, False), (0.01, True)])
def test_a_clock_that_went_back_loses_no_training(
    tmp_path, run_script, caplog, hours_ahead, trained
):
    """Found at the start or, if it happened later, at the end: Snakemake would delete the outputs."""
    caplog.set_level("INFO")
    arguments = training_arguments(make_job(), "pytorch", tmp_path)
    train, now = tmp_path / "train.safetensors", time.time()
    os.utime(train, (now, now + 3600 * hours_ahead))
    assert run_script("train.py", [*arguments, "--checkpoint-steps", "1"]) == 1
    (line,) = [text for text in caplog.messages if text.startswith("error: ")]
    assert str(train) in line and "set the clock" in line
    assert bool(list(tmp_path.glob(".checkpoint*"))) == trained
    os.utime(train, (now, now))
    assert run_script("train.py", arguments) == 0
    assert ("resumed from the checkpoint" in caplog.text) == trained


def test_a_gpu_that_the_framework_cannot_use_is_noted_in_the_log_and_in_the_provenance(
    tmp_path, run_script, unusable_gpu, caplog
):
    arguments = training_arguments(make_job(epochs=1), "pytorch", tmp_path)
    assert run_script("train.py", [*arguments, "--jobs-per-gpu", "2"]) == 0
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert unusable_gpu in record["device_note"]
    assert caplog.messages.count(record["device_note"]) == 1
    assert record["accelerator"] is None


def test_a_training_that_asks_for_a_gpu_refuses_the_cpu_in_one_line(
    tmp_path, run_script, unusable_gpu, caplog
):
    arguments = training_arguments(make_job(device="gpu"), "pytorch", tmp_path)
    assert run_script("train.py", arguments) == 1
    (error,) = [text for text in caplog.messages if "error:" in text]
    assert "training.device" in error and unusable_gpu in error and "\n" not in error
    assert not (tmp_path / "provenance.json").exists()


def test_provenance_holds_the_gpu_its_software_and_how_many_jobs_may_share_it(
    tmp_path, run_script, monkeypatch
):
    found = Accelerator("NVIDIA A100", compute_capability="8.0", cuda="13.0", cudnn="9.24.0")
    monkeypatch.setattr("twinbench.backends.pytorch.accelerator.accelerator", lambda: found)
    monkeypatch.setattr("twinbench.training.gpus.driver_version", lambda: "580.95.05")
    arguments = training_arguments(make_job(epochs=1), "pytorch", tmp_path)
    assert run_script("train.py", [*arguments, "--jobs-per-gpu", "2"]) == 0
    read = reading.read_provenance(tmp_path / "provenance.json").accelerator
    assert read == reading.Accelerator(
        compute_capability="8.0",
        driver="580.95.05",
        cuda="13.0",
        cudnn="9.24.0",
        jobs_per_gpu=2,
    )


def test_a_pretraining_without_its_gpu_is_noted_in_the_log(pretrain, unusable_gpu, caplog):
    assert pretrain(0.001) == 0
    assert len([text for text in caplog.messages if unusable_gpu in text]) == 1


def test_measuring_parity_without_its_gpu_is_noted_in_the_log(
    tmp_path, run_script, unusable_gpu, caplog
):
    job = make_job(images=80)
    training_arguments(job, "pytorch", tmp_path)  # writes the splits
    case = Case(model="tiny", weights="none", weights_id=None, training=job.settings)
    settings = {"seed": 1, "cases": {"tiny": case}}
    files = {name: tmp_path / f"{name}.safetensors" for name in ("train", "validation", "output")}
    words = options(files | {"backend": "pytorch", "threads": 1})
    arguments = [*to_arguments(settings).values(), *words]
    assert run_script("measure_parity.py", arguments) == 0
    assert len([text for text in caplog.messages if unusable_gpu in text]) == 1


def test_a_recorded_collapse_has_its_files_and_its_diagnosis(tmp_path, run_script):
    job = make_job(frozen=ALL_FROZEN)
    assert run_script("train.py", training_arguments(job, "pytorch", tmp_path)) == 0
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["status"] == "collapsed"
    assert "frozen" in record["diagnosis"]
    assert (tmp_path / "predictions.parquet").exists()


def test_a_collapse_fails_the_job_where_that_is_set(tmp_path, run_script, caplog):
    job = make_job(frozen=ALL_FROZEN, on_collapse="fail")
    assert run_script("train.py", training_arguments(job, "pytorch", tmp_path)) == 1
    assert "frozen" in caplog.messages[-1] and "\n" not in caplog.messages[-1]
    assert not (tmp_path / "predictions.parquet").exists()


@pytest.fixture
def pretrain(tmp_path, run_script):
    """Pretrains the tiny network at some learning rate, and returns the exit code."""

    def run(learning_rate, epochs=1, threads=1):
        settings = training_settings(
            batch_normalisation=True, batch_size=16, epochs=epochs, learning_rate=learning_rate
        )
        given = {"model": TINY_RESIZABLE.name, "images": 640, "seed": 0, "training": settings}
        files = {"output": tmp_path / "tiny.pth", "tensorboard": tmp_path / "events"}
        words = options(files | {"backend": "pytorch", "threads": threads})
        return run_script("pretrain_weights.py", [*to_arguments(given).values(), *words])

    return run


def test_pretraining_writes_the_librarys_file_which_is_imported_without_normalisation(
    pretrain, tmp_path, run_script
):
    from twinbench.networks import weights

    assert pretrain(0.001) == 0
    words = {"backend": "pytorch", "model": TINY_RESIZABLE.name}
    words |= {"library": tmp_path / "tiny.pth", "output": tmp_path / "tiny.st"}
    assert run_script("import_weights.py", options(words)) == 0
    found = weights.read(tmp_path / "tiny.st", TINY_RESIZABLE)
    layers = set(TINY_RESIZABLE.weighted_layers()) - {"head"}
    assert found.keys() == {f"{name}/{part}" for name in layers for part in ("kernel", "bias")}


def test_a_pretraining_leaves_the_checkpoints_of_others_of_the_same_network(pretrain, tmp_path):
    other = tmp_path / f".checkpoint-{TINY_RESIZABLE.name}-0123456789abcdef.safetensors"
    other.touch()
    assert pretrain(0.001) == 0
    assert other.exists()


def test_weights_of_a_collapsed_pretraining_are_not_written(pretrain, tmp_path, caplog):
    assert pretrain(1e9) == 1
    assert "weights.synthetic" in caplog.messages[-1]
    assert not (tmp_path / "tiny.pth").exists()


# --- Resumption under other conditions ---------------------------------------------------------


@pytest.fixture
def interrupt(monkeypatch):
    """Has the next training interrupted in its second epoch, and the later ones not."""

    first = iter([True])

    def progress(costs, folder):
        return Interrupting(folder, 2, 1) if next(first, False) else Progress(costs, folder)

    monkeypatch.setattr("twinbench.training.run.Progress", progress)


def arguments_with(folder, threads, resume="any", **changes):
    arguments = training_arguments(make_job(**changes), "pytorch", folder)
    arguments[arguments.index("--threads") + 1] = str(threads)
    return [*arguments, "--resume", resume]


@pytest.fixture
def resume(tmp_path, run_script, interrupt, caplog):
    """Interrupts a training on one thread, starts it again with other arguments, and returns what the
    log of that says and provenance.json."""
    caplog.set_level("INFO")

    def run(*arguments, **changes):
        assert run_script("train.py", arguments_with(tmp_path, 1)) == 143
        caplog.clear()
        assert run_script("train.py", arguments_with(tmp_path, *arguments, **changes)) == 0
        assert not list(tmp_path.glob(".*"))
        return caplog.text, json.loads((tmp_path / "provenance.json").read_text())

    return run


def test_under_the_same_conditions_a_training_is_resumed_exactly(resume):
    text, record = resume(1)
    assert "resumed from the checkpoint after epoch 1, step 1" in text
    assert "bit for bit" not in text and record["resumed_inexactly"] is None


def test_with_other_threads_a_training_is_resumed_and_its_provenance_says_so(resume):
    text, record = resume(2)
    assert "resumed from the checkpoint after epoch 1, step 1" in text
    assert record["resumed_inexactly"] == ["threads: 1 then, 2 now"]


def test_what_became_of_auto_precision_is_a_condition(tmp_path, run_script, interrupt, monkeypatch):
    arguments = arguments_with(tmp_path, 1, precision="auto")
    for flags, code in ({"amx_bf16"}, 143), (set(), 0):
        monkeypatch.setattr(
            "twinbench.training.precision.processor_flags", lambda flags=flags: flags
        )
        assert run_script("train.py", arguments) == code
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["precision"] == "float32"
    assert record["resumed_inexactly"] == ["precision: bfloat16 then, float32 now"]


def test_who_insists_starts_over_with_other_threads(resume):
    text, record = resume(2, "exact")
    assert "resumed" not in text and "threads: 1 then, 2 now" in text
    assert record["resumed_inexactly"] is None


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"learning_rate": 0.5}, "training.learning_rate: 0.0007 then, 0.5 now"),
        ({"precision": "auto"}, "training.precision: float32 then, auto now"),
    ],
)
def test_with_another_setting_a_training_starts_over_and_says_which(resume, change, difference):
    text, record = resume(1, **change)
    assert "resumed" not in text and difference in text
    assert record["resumed_inexactly"] is None


def test_the_device_that_was_asked_for_does_not_matter_where_the_same_one_is_used(resume):
    text, record = resume(1, device="cpu")
    assert "resumed from the checkpoint" in text and record["resumed_inexactly"] is None


def test_with_other_threads_a_pretraining_is_resumed(pretrain, interrupt, caplog, tmp_path):
    caplog.set_level("INFO")
    assert pretrain(0.001, epochs=2) == 143
    assert pretrain(0.001, epochs=2, threads=2) == 0
    assert "threads: 1 then, 2 now" in caplog.text
    assert "resumed from the checkpoint after epoch 1, step 1" in caplog.text
    assert not list(tmp_path.glob(".*"))
