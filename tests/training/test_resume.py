"""An interrupted training goes on to the very same bits, in both frameworks."""

import signal
from pathlib import Path

import numpy as np
import pytest
from arms import ARMS, PyTorchArm, TerminatedAt, train_job
from support import make_job
from twinbench import training
from twinbench.checkpoint import Pace

# Two phases, dropout, augmentation, decay and a schedule: all that could depend on history.
CHANGES = {
    "model": "alexnet32",
    "epochs": 3,
    "head": {"epochs": 1},
    "dropout": 0.5,
    "optimiser": {"weight_decay": 0.01},
    "keep": "last",
}


def _train(make_arm, folder: Path, progress=None, **changes):
    job = make_job(**{**CHANGES, **changes})
    return job, *train_job(make_arm, job, folder, progress)


def _without_times(history: list[dict]) -> list[dict]:
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in timed} for row in history]


@ARMS
@pytest.mark.parametrize(
    ("epoch", "step"), [(1, 2), (1, 3), (2, 1), (3, 2)], ids=lambda value: str(value)
)
def test_a_terminated_run_resumes_to_the_same_bits(make_arm, tmp_path, epoch, step):
    _, whole, expected = _train(make_arm, tmp_path / "whole")
    with pytest.raises(training.Interrupted):
        _train(make_arm, tmp_path, TerminatedAt(3, tmp_path / "events", epoch, step))
    job, resumed, outcome = _train(make_arm, tmp_path)
    assert _without_times(outcome.history) == _without_times(expected.history)
    weights = whole.weights()
    for name, value in resumed.weights().items():
        assert np.array_equal(value, weights[name]), name
    assert np.array_equal(resumed.logits(job.test.images), whole.logits(job.test.images))


def test_ctrl_c_saves_as_well(tmp_path, caplog):
    caplog.set_level("INFO")
    with pytest.raises(training.Interrupted, match="in epoch 1 after step 2 of 3"):
        _train(PyTorchArm, tmp_path, TerminatedAt(1, tmp_path / "a", 1, 2, signal.SIGINT), epochs=1)
    _train(PyTorchArm, tmp_path, epochs=1)
    assert "resumed from the checkpoint after epoch 0, step 2" in caplog.text


@ARMS
def test_a_training_that_had_ended_is_not_trained_again(make_arm, tmp_path, monkeypatch):
    # Killed while its outputs were written, say. Its epochs are short, yet each is saved here.
    monkeypatch.setattr(Pace, "due_after_epoch", lambda pace: True)
    job, whole, expected = _train(make_arm, tmp_path)
    _, resumed, outcome = _train(make_arm, tmp_path)
    assert outcome.history == expected.history  # the very rows, times included
    assert np.array_equal(resumed.logits(job.test.images), whole.logits(job.test.images))


@ARMS
def test_a_native_run_resumes_to_the_same_bits(make_arm, tmp_path):
    changes = {"protocol": "native", "epochs": 2}
    _, whole, expected = _train(make_arm, tmp_path / "whole", **changes)
    with pytest.raises(training.Interrupted):
        _train(make_arm, tmp_path, TerminatedAt(2, tmp_path / "events", 2, 1), **changes)
    job, resumed, outcome = _train(make_arm, tmp_path, **changes)
    assert _without_times(outcome.history) == _without_times(expected.history)
    assert np.array_equal(resumed.logits(job.test.images), whole.logits(job.test.images))


@ARMS
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(make_arm, tmp_path):
    logits = []
    for index, seed in enumerate((1, 1, 2)):
        job, arm, _ = _train(make_arm, tmp_path / str(index), seed=seed, epochs=1)
        logits.append(arm.logits(job.test.images))
    assert np.array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


@ARMS
def test_frozen_layers_keep_their_weights(make_arm, tmp_path):
    job, arm, _ = _train(make_arm, tmp_path, frozen=["conv"])
    initial, trained = job.initial_weights(), arm.weights()
    for name in initial:
        if name.endswith("kernel"):
            assert np.array_equal(initial[name], trained[name]) == name.startswith("conv"), name


@ARMS
def test_the_best_epoch_is_kept(make_arm, tmp_path):
    # At this rate the net is spoilt after the first epoch.
    schedule = {"shape": "constant", "warmup_fraction": 0}
    job, arm, outcome = _train(
        make_arm, tmp_path, keep="best", head={"epochs": 0}, learning_rate=0.05, schedule=schedule
    )
    _, accuracy = job.evaluate(arm.logits, job.validation)
    kept = outcome.history[outcome.chosen_epoch - 1]
    assert accuracy == kept["validation_accuracy"]
    assert accuracy == max(row["validation_accuracy"] for row in outcome.history)
