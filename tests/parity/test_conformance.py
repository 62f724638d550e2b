"""What every arm must keep: the contract of its files, the parity rungs, and resuming to the same bits.

A framework takes part when it has a folder `twinbench/<name>/` and entry files `train_<name>.py` and
`measure_<name>.py`: these tests find it there. See docs/another-arm.md.
"""

import csv
import importlib
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow.parquet as pq
import pytest
from small import failed_rungs, measured, missed_settings, small_job
from support import ROOT, draw_split, training_settings
from twinbench import splits, training
from twinbench.checkpoint import Store
from twinbench.configuration import FRAMEWORKS
from twinbench.progress import Progress

REFERENCE = "pytorch"
EACH = pytest.mark.parametrize("framework", FRAMEWORKS)


def arm_of(framework: str):
    return importlib.import_module(f"twinbench.{framework}.measured").MeasuredArm


@cache
def reference():
    return measured(REFERENCE, small_job(), arm_of(REFERENCE))


@EACH
def test_every_rung_holds_against_the_reference(framework):
    other, _ = measured(framework, small_job(), arm_of(framework), reference()[1])
    assert failed_rungs(reference()[0], other) == []
    told = other.settings["small"]
    known = {
        name: values
        for name, values in reference()[0].settings["small"].items()
        if name in told  # an arm need not have every setting
    }
    assert missed_settings(replace(reference()[0], settings={"small": known}), other) == []


@EACH
def test_weights_come_out_as_they_went_in_and_logits_are_float32(framework):
    job = small_job()
    arm = arm_of(framework)(job)
    expected = {name: value + 1 for name, value in job.initial_weights().items()}
    arm.set_weights(expected)
    weights = arm.weights()
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(weights[name], expected[name]) for name in expected)
    logits = arm.logits(job.test.images)
    assert logits.dtype == np.float32 and logits.shape == (len(job.test), job.classes)
    assert arm.device and arm.libraries


class _StoppedAt(Progress):
    def step(self, epoch: int, done: int, steps: int) -> None:
        if (epoch, done) == (2, 3):
            raise training.Interrupted("here")


@EACH
def test_a_resumed_training_gives_the_same_bits(framework, tmp_path):
    job = replace(small_job(dropout=0.3, learning_rate=0.002), checkpoint_steps=2)

    def train(folder, progress):
        arm = arm_of(framework)(job)
        outcome = training.train(job, arm, Store(folder, "run", "ab" * 32), progress)
        return arm, outcome

    whole, expected = train(tmp_path / "whole", Progress([1.0] * 3, tmp_path / "a"))
    with pytest.raises(training.Interrupted):
        train(tmp_path, _StoppedAt([1.0] * 3, tmp_path / "b"))
    resumed, outcome = train(tmp_path, Progress([1.0] * 3, tmp_path / "c"))
    assert [row["train_loss"] for row in outcome.history] == [
        row["train_loss"] for row in expected.history
    ]
    weights = whole.weights()
    assert all(np.array_equal(v, weights[name]) for name, v in resumed.weights().items())


@EACH
def test_frozen_layers_see_the_same_views_of_the_images(framework, tmp_path):
    job = small_job(learning_rate=0.002, frozen=["conv"], cached_views=2)

    def losses(name):
        store = Store(tmp_path / name, "run", "ab" * 32)
        progress = Progress([1.0] * 3, tmp_path / name)
        history = training.train(job, arm_of(name)(job), store, progress).history
        return [row["train_loss"] for row in history]

    assert losses(framework) == pytest.approx(losses(REFERENCE), rel=1e-3)


@EACH
def test_its_entry_file_writes_the_contracts_files(framework, tmp_path):
    data = {name: tmp_path / f"{name}.safetensors" for name in ("train", "validation", "test")}
    for seed, path in enumerate(data.values()):
        splits.save(path, draw_split("target", 16, seed))
    settings = {
        "run": "run",
        "framework": framework,
        "model": "alexnet32",
        "weights": {"source": "none", "file": None},
        "dataset": {"name": "drawn", "source": "synthetic"},
        "training": training_settings(batch_size=8, epochs=1),
    }
    suffix = {"tensorflow": "keras"}.get(framework, "safetensors")
    outputs = {
        "history": tmp_path / "history.csv",
        "predictions": tmp_path / "predictions.parquet",
        "provenance": tmp_path / "provenance.json",
        "model": tmp_path / f"model.{suffix}",
        "tensorboard": tmp_path / "tensorboard",
    }
    options = {"settings": json.dumps(settings), "seed": 1, "threads": 2, **data, **outputs}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    script = ROOT / "workflow" / "scripts" / f"train_{framework}.py"
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    with open(outputs["history"]) as file:
        (row,) = csv.DictReader(file)
    assert {"epoch", "seconds", "learning_rate", "train_loss", "validation_accuracy"} <= set(row)
    predictions = pq.read_table(outputs["predictions"])
    assert predictions.column_names == ["sample_id", "label", "logits"]
    assert predictions.num_rows == 16
    noted = json.loads(outputs["provenance"].read_text())
    assert noted["framework"] == framework and noted["versions"]["numpy"]
    assert outputs["model"].stat().st_size > 0
    assert list(outputs["tensorboard"].glob("events.out.tfevents.*"))
