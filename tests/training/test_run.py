"""A training job from its arguments to its files, and what it does about a collapse."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from support import TINY_RESIZABLE, make_job, training_arguments, training_settings
from twinbench.config.arguments import to_arguments

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
    assert record["dataset"]["sha256"].keys() == {"train", "validation", "test"}
    assert record["versions"].keys() >= {"python", "torch", "numpy"}
    assert record["git"].keys() == {"commit", "dirty"}
    expected = {"run": "run", "seed": 1, "framework": "pytorch", "model": "tiny", "threads": 1}
    expected |= {"precision": "float32", "status": "completed", "diagnosis": None, "epochs_run": 2}
    assert {key: record[key] for key in expected} == expected
    assert record["total_seconds"] >= sum(float(row["seconds"]) for row in rows)
    assert not list(tmp_path.glob(".checkpoint*"))


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

    def run(learning_rate):
        settings = training_settings(
            batch_normalisation=True, batch_size=16, epochs=1, learning_rate=learning_rate
        )
        given = {"model": TINY_RESIZABLE.name, "images": 640, "seed": 0, "training": settings}
        arguments = [*to_arguments(given).values(), "--backend", "pytorch", "--threads", "1"]
        arguments += ["--output", str(tmp_path / "tiny.pth")]
        arguments += ["--tensorboard", str(tmp_path / "events")]
        return run_script("pretrain_weights.py", arguments)

    return run


def test_pretraining_writes_the_librarys_file_which_is_imported_without_normalisation(
    pretrain, tmp_path, run_script
):
    from twinbench.networks import weights

    assert pretrain(0.001) == 0
    files = ["--library", str(tmp_path / "tiny.pth"), "--output", str(tmp_path / "tiny.st")]
    names = ["--backend", "pytorch", "--model", TINY_RESIZABLE.name]
    assert run_script("import_weights.py", names + files) == 0
    found = weights.read(tmp_path / "tiny.st")
    layers = TINY_RESIZABLE.weighted_layers()
    assert found.keys() == {f"{name}/{part}" for name in layers for part in ("kernel", "bias")}


def test_weights_of_a_collapsed_pretraining_are_not_written(pretrain, tmp_path, caplog):
    assert pretrain(1e9) == 1
    assert "weights.synthetic" in caplog.messages[-1]
    assert not (tmp_path / "tiny.pth").exists()
