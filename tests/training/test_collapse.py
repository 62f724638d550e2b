"""A training that does not learn is noticed, explained, and told from a result, in both frameworks."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from arms import ARMS, PyTorchArm, train_job
from support import make_job, training_settings
from twinbench import experiment, protocol, proxy, splits
from twinbench.collapse import Collapsed, Guard, Look
from twinbench.errors import InputError


def _kill_relus(arm):
    """Biases so low that no image activates the third convolution."""
    weights = arm.weights()
    weights["conv3/bias"] = np.full_like(weights["conv3/bias"], -1e4)
    arm.set_weights(weights)


@ARMS
def test_a_rate_that_is_too_high_is_noticed_within_an_epoch(make_arm, tmp_path):
    job = make_job(images=16 * 60, epochs=3, learning_rate=0.1)
    _, outcome = train_job(make_arm, job, tmp_path)
    assert len(outcome.history) == 1
    assert outcome.history[0]["collapsed"]
    assert "Lower learning_rate (0.1 now)" in outcome.diagnosis or "too high a rate" in (
        outcome.diagnosis
    )


@ARMS
def test_dead_relus_are_named_with_the_gradients_that_they_stop(make_arm, tmp_path):
    job = make_job(images=16 * 30, epochs=2)
    _, outcome = train_job(make_arm, job, tmp_path, prepare=_kill_relus)
    assert "100% in conv3" in outcome.diagnosis
    assert "the gradient has vanished in conv1, conv2, conv3" in outcome.diagnosis
    assert outcome.history[0]["dead_relus"] == 1


@ARMS
def test_input_that_is_no_number_is_noticed_before_the_first_step(make_arm, tmp_path):
    job = make_job(epochs=2)
    broken = dataclasses.replace(job.train, mean=np.full(3, np.nan))
    _, outcome = train_job(make_arm, dataclasses.replace(job, train=broken), tmp_path)
    assert "before the first step the outputs are not finite" in outcome.diagnosis
    assert len(outcome.history) == 1


@ARMS
def test_a_net_whose_layers_are_all_frozen_is_noticed(make_arm, tmp_path):
    job = make_job(epochs=2, frozen=["conv", "dense", "head"])
    _, outcome = train_job(make_arm, job, tmp_path)
    assert "nothing is trained" in outcome.diagnosis


@ARMS
def test_constant_labels_are_noticed(make_arm, tmp_path):
    job = make_job(epochs=2)
    labels = np.full_like(job.train.labels, 3)
    constant = dataclasses.replace(job.train, labels=labels)
    _, outcome = train_job(make_arm, dataclasses.replace(job, train=constant), tmp_path)
    assert "every training image has the label 'red striped cross'" in outcome.diagnosis


@ARMS
@pytest.mark.parametrize(("model", "images"), [("alexnet32", 16 * 30), ("vgg16", 16 * 30)])
def test_an_ordinary_training_raises_no_alarm(make_arm, model, images, tmp_path):
    job = make_job(model=model, images=images, epochs=1)
    _, outcome = train_job(make_arm, job, tmp_path)
    assert outcome.diagnosis is None
    assert not outcome.history[0]["collapsed"]
    assert 0 <= outcome.history[0]["dead_relus"] < 0.9


@ARMS
def test_a_head_of_zeros_raises_no_alarm(make_arm, tmp_path):
    job = make_job(images=16 * 30, epochs=1, head={"initialisation": "zeros"})
    arm = make_arm(job)
    assert not arm.logits(job.validation.images).any()
    _, outcome = train_job(make_arm, job, tmp_path)
    assert outcome.diagnosis is None
    assert outcome.history[0]["train_loss"] < np.log(10)


@ARMS
def test_a_look_leaves_the_training_as_it_is(make_arm, tmp_path, monkeypatch):
    job = make_job(images=16 * 26, epochs=1, dropout=0.5)
    seen = train_job(make_arm, job, tmp_path / "a")[1].history[0]
    monkeypatch.setattr(Guard, "look", lambda *arguments: None)
    unseen = train_job(make_arm, job, tmp_path / "b")[1].history[0]
    for name in ("train_loss", "validation_loss"):
        assert seen[name] == unseen[name]


@ARMS
def test_a_look_sees_what_evaluation_sees(make_arm):
    job = make_job(epochs=1, dropout=0.5, batch_normalisation=True)
    arm = make_arm(job)
    arm.start_phase(protocol.phases(job.settings, job.architecture)[0])
    logits, dead = arm.inspect(job.validation.images)
    assert np.allclose(logits, arm.logits(job.validation.images), atol=1e-5)
    assert list(dead) == ["conv1", "conv2", "conv3", "conv4", "conv5", "dense1", "dense2"]


def test_proxy_weights_of_a_collapsed_pretraining_are_not_handed_over(tmp_path):
    training = {"batch_normalisation": False, "batch_size": 32, "epochs": 1, "input_size": 63}
    settings = training_settings(model="alexnet", learning_rate=1e9, **training)
    arguments = ["--settings", json.dumps({"images": 100, "seed": 0, "training": settings})]
    arguments += ["--model", "alexnet", "--threads", "2", "--output", str(tmp_path / "proxy.pth")]
    arguments += ["--tensorboard", str(tmp_path / "events"), "--log", str(tmp_path / "log")]
    written = []
    with pytest.raises(InputError, match=r"weights\.proxy: alexnet on the source task collapsed"):
        proxy.pretrain(
            proxy.parser(None).parse_args(arguments),
            PyTorchArm,
            lambda path, weights: written.append(path),
        )
    assert not written


# --- What the looks mean ---------------------------------------------------------------------------


class Scripted:
    """Stands for an arm: gives outputs made up beforehand."""

    def __init__(self, logits, dead=None):
        self._logits, self._dead = logits, dead or {"conv1": 0.0}

    def inspect(self, images):
        return self._logits, self._dead

    def gradient_norms(self, images, labels):
        return {"conv1": 0.0, "head": 1.0}


def _alike(spread=0.0):
    """Logits that give every image class 2."""
    logits = np.full((20, 10), -0.01, np.float32)
    logits[:, 2] = 0.01
    return logits + spread * np.linspace(-1, 1, 20, dtype=np.float32)[:, None]


def test_one_class_for_everything_may_be_a_slow_start():
    guard = Guard(make_job())
    for step in range(0, 200, 25):
        guard.look(Scripted(_alike(spread=0.01) + step / 1e6), step)


def test_one_class_at_the_loss_of_guessing_is_a_collapse_when_it_lasts():
    guard = Guard(make_job())
    with pytest.raises(Collapsed, match="for 200 steps"):
        for step in range(0, 300, 25):
            guard.look(Scripted(_alike(spread=0.01) + step / 1e6), step)


def test_a_collapse_in_mid_training_is_noticed_at_the_second_look():
    guard = Guard(make_job())
    healthy = np.eye(10, dtype=np.float32)[np.arange(20) % 10]
    for step in range(0, 100, 25):
        guard.look(Scripted(healthy + step), step)
    dead = {"conv1": 0.2, "conv2": 1.0}
    guard.look(Scripted(_alike(), dead), 100)
    with pytest.raises(Collapsed, match="100% in conv2; the gradient has vanished in conv1"):
        guard.look(Scripted(_alike() + 1, dead), 125)


def test_answers_alike_before_the_first_step_are_no_sign_of_a_collapse():
    guard = Guard(make_job())
    guard.look(Scripted(np.zeros((20, 10), np.float32)), 0)  # a head of zeros
    guard.look(Scripted(_alike()), 25)
    with pytest.raises(Collapsed, match="hardly depend on the image"):
        guard.look(Scripted(_alike() + 1), 50)


def test_the_guards_state_goes_through_json():
    guard = Guard(make_job())
    guard.look(Scripted(_alike(spread=1)), 0)
    guard.look(Scripted(np.full((20, 10), 7, np.float32) + _alike(spread=2)), 25)
    again = Guard(make_job())
    again.restore(json.loads(json.dumps(guard.state())))
    assert again.state() == guard.state()
    assert all(isinstance(look, Look) for look in again._looks)


# --- What the job does with it ----------------------------------------------------------------------


@pytest.mark.parametrize("on_collapse", ["record", "fail"])
def test_a_collapse_is_recorded_or_fails_the_job(on_collapse, tmp_path, monkeypatch):
    job = make_job(epochs=2, frozen=["conv", "dense", "head"], on_collapse=on_collapse)
    for name in ("train", "validation", "test"):
        splits.save(tmp_path / f"{name}.safetensors", getattr(job, name))
    settings = {
        "run": "run",
        "framework": "pytorch",
        "model": "alexnet32",
        "weights": {"source": "none", "file": None},
        "dataset": {"name": "drawn", "source": "synthetic"},
        "training": job.settings,
    }
    arguments = ["--settings", json.dumps(settings), "--seed", "1", "--threads", "2"]
    for name in ("train", "validation", "test"):
        arguments += [f"--{name}", str(tmp_path / f"{name}.safetensors")]
    outputs = {
        "history": "history.csv",
        "predictions": "predictions.parquet",
        "provenance": "provenance.json",
        "model": "model.safetensors",
        "tensorboard": "tensorboard",
    }
    for name, file in outputs.items():
        arguments += [f"--{name}", str(tmp_path / file)]
    parsed = experiment.parser(None).parse_args([*arguments, "--log", str(tmp_path / "log")])
    monkeypatch.setattr(sys, "argv", [str(experiment.__file__)])
    if on_collapse == "fail":
        with pytest.raises(InputError, match="run, seed 1: collapsed: after 3 steps"):
            experiment.execute(parsed, PyTorchArm)
        assert not (tmp_path / "predictions.parquet").exists()
        return
    experiment.execute(parsed, PyTorchArm)
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["status"] == "collapsed"
    assert "nothing is trained" in record["diagnosis"]
