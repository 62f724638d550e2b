"""What every backend must keep: the parity checks, weights in and out, exact resumption, a run's files.

A folder `twinbench/backends/<name>/` takes part, and so does that in tests/another_backend; see
docs/extending.md.
"""

import csv
import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pyarrow.parquet as pq
import pytest
from measurements import failed_checks, parity_job, unaccounted, unchanged
from support import ROOT, make_job, training_arguments
from trainings import Interrupting, train, train_epoch
from twinbench import backends
from twinbench.backends import model_suffix
from twinbench.config.study import BACKENDS
from twinbench.training.loop import Interrupted

REFERENCE = "pytorch"
ADDED = "numpy_only"
EACH = pytest.mark.parametrize("framework", [*BACKENDS, ADDED])
# These two are compared by tests/parity/test_suite.py.
EACH_OTHER = pytest.mark.parametrize(
    "framework", [name for name in (*BACKENDS, ADDED) if name not in ("pytorch", "tensorflow")]
)


@pytest.fixture(autouse=True)
def added_backend(monkeypatch):
    """The NumPy backend stands beside the project's own."""
    folder = ROOT / "tests/another_backend/workflow/scripts/twinbench/backends"
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(folder)])


def backend_of(framework):
    return import_module(f"twinbench.backends.{framework}.backend").Backend


@EACH_OTHER
def test_every_check_passes_against_the_reference(framework):
    reference, other = unchanged(REFERENCE), unchanged(framework)
    assert failed_checks(reference, other) == []
    # A backend need not report every setting; what it reports must agree.
    reported = {n: v for n, v in reference.settings["tiny"].items() if n in other.settings["tiny"]}
    assert reported
    assert unaccounted(replace(reference, settings={"tiny": reported}), other) == []


@EACH
def test_weights_come_out_as_they_went_in_and_logits_are_float32(framework):
    job = parity_job()
    backend = backend_of(framework)(job)
    expected = {name: value + 1 for name, value in job.initial_weights().items()}
    backend.set_weights(expected)
    weights = backend.weights()
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(weights[name], value) for name, value in expected.items())
    logits = backend.logits(job.test.images)
    assert logits.dtype == np.float32 and logits.shape == (len(job.test), job.classes)
    assert backend.precision == "float32" and backend.device and backend.libraries


@EACH
def test_weights_do_not_change_while_training_goes_on(framework):
    job = parity_job(learning_rate=0.01)
    backend = backend_of(framework)(job)
    backend.start_phase(job.phases[0])
    taken = [backend.weights(), backend.state()]
    copies = [{name: value.copy() for name, value in each.items()} for each in taken]
    train_epoch(backend, job.plan(job.phases[0], 1))
    for before, after in zip(copies, taken, strict=True):
        assert all(np.array_equal(value, after[name]) for name, value in before.items())


@EACH
@pytest.mark.parametrize("step", [1, 3], ids=["within an epoch", "after an epoch"])
def test_a_resumed_training_gives_the_same_bits(framework, step, tmp_path):
    job = make_job(epochs=2, dropout=0.3, selected_epoch="last")
    whole, expected = train(backend_of(framework), job, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(backend_of(framework), job, tmp_path, Interrupting(tmp_path / "events", 1, step))
    resumed, outcome = train(backend_of(framework), job, tmp_path)
    losses = [[row["train_loss"] for row in each.history] for each in (outcome, expected)]
    assert losses[0] == losses[1]
    weights = whole.weights()
    assert all(np.array_equal(value, weights[n]) for n, value in resumed.weights().items())


@EACH
def test_a_run_writes_the_files_that_the_analysis_reads(framework, tmp_path, run_script):
    job = make_job(epochs=1)
    assert run_script("train.py", training_arguments(job, framework, tmp_path)) == 0
    with open(tmp_path / "history.csv") as file:
        (row,) = csv.DictReader(file)
    assert row.keys() >= {"epoch", "seconds", "learning_rate", "train_loss", "validation_accuracy"}
    predictions = pq.read_table(tmp_path / "predictions.parquet")
    assert predictions.column_names == ["sample_id", "label", "logits"]
    assert predictions.num_rows == len(job.test)
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["framework"] == framework and record["versions"]["numpy"]
    assert (tmp_path / f"model.{model_suffix(framework)}").stat().st_size > 0
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
