"""A training that stops making progress is detected and explained, in both frameworks.

Diagnoses are asserted by the layers, numbers and settings that they name.
"""

import dataclasses
import json
from itertools import count

import numpy as np
import pytest
from frameworks import EACH_FRAMEWORK, PyTorch
from support import NO_AUGMENTATION, make_job
from trainings import train
from twinbench.training.collapse import Collapsed, CollapseDetector

STEPS = 30  # of an epoch, more than lie between two probes


@EACH_FRAMEWORK
def test_too_high_a_learning_rate_is_detected_within_an_epoch(make_backend, tmp_path):
    job = make_job(images=16 * 60, epochs=3, learning_rate=0.5)
    _, outcome = train(make_backend, job, tmp_path)
    assert [row["collapsed"] for row in outcome.history] == [True]
    assert "learning_rate (0.5 now)" in outcome.diagnosis
    assert "schedule.warmup_fraction" in outcome.diagnosis


@EACH_FRAMEWORK
def test_dead_relus_are_named_with_the_gradients_that_they_stop(make_backend, tmp_path):
    def kill_relus(backend):
        weights = backend.weights()
        weights["conv2/bias"] = np.full_like(weights["conv2/bias"], -1e4)
        backend.set_weights(weights)

    _, outcome = train(make_backend, make_job(images=16 * STEPS), tmp_path, prepare=kill_relus)
    for part in ("100% in conv2", "conv1, conv2", "head.epochs"):
        assert part in outcome.diagnosis
    assert outcome.history[-1]["dead_relus"] == 1


@EACH_FRAMEWORK
def test_input_that_is_not_finite_is_detected_before_the_first_step(make_backend, tmp_path):
    job = make_job()
    broken = dataclasses.replace(job.train, mean=np.full(3, np.nan))
    backend, outcome = train(make_backend, dataclasses.replace(job, train=broken), tmp_path)
    assert outcome.diagnosis and len(outcome.history) == 1
    assert np.isnan(outcome.history[0]["train_loss"])
    kernel = "conv1/kernel"
    assert np.array_equal(backend.weights()[kernel], job.initial_weights()[kernel])


@EACH_FRAMEWORK
def test_a_network_without_a_trained_layer_is_detected(make_backend, tmp_path):
    _, outcome = train(make_backend, make_job(frozen=["conv", "dense", "head"]), tmp_path)
    assert "frozen, learning_rate_multipliers" in outcome.diagnosis


def test_constant_labels_are_detected(tmp_path):
    job = make_job()
    constant = dataclasses.replace(job.train, labels=np.full_like(job.train.labels, 3))
    _, outcome = train(PyTorch, dataclasses.replace(job, train=constant), tmp_path)
    assert repr(job.train.class_names[3]) in outcome.diagnosis


@EACH_FRAMEWORK
@pytest.mark.parametrize("initialisation", ["random", "zeros"])
def test_an_ordinary_training_is_no_collapse(make_backend, initialisation, tmp_path):
    settings = {"learning_rate": 0.01, "dropout": 0.0, "augmentation": NO_AUGMENTATION}
    head = {"initialisation": initialisation}
    job = make_job(images=16 * STEPS, epochs=1, head=head, **settings)
    _, outcome = train(make_backend, job, tmp_path)
    assert outcome.diagnosis is None
    (row,) = outcome.history
    assert not row["collapsed"]
    assert 0 <= row["dead_relus"] < 0.9
    assert row["validation_loss"] < np.log(10)


@EACH_FRAMEWORK
@pytest.mark.parametrize("protocol", ["harmonised", "native"])
def test_a_probe_leaves_the_training_unchanged(make_backend, protocol, tmp_path, monkeypatch):
    job = make_job(epochs=1, dropout=0.5, batch_normalisation=True, protocol=protocol)
    monkeypatch.setattr(CollapseDetector, "next_due", lambda detector, step: step + 1)
    probed = train(make_backend, job, tmp_path / "a")[0].weights()
    monkeypatch.setattr(CollapseDetector, "probe", lambda *arguments: None)
    monkeypatch.setattr(CollapseDetector, "dead_relus", 0.0)
    expected = train(make_backend, job, tmp_path / "b")[0].weights()
    assert all(np.array_equal(value, expected[name]) for name, value in probed.items())


@EACH_FRAMEWORK
@pytest.mark.parametrize("protocol", ["harmonised", "native"])
def test_a_probe_computes_what_evaluation_computes(make_backend, protocol):
    job = make_job(dropout=0.5, batch_normalisation=True, protocol=protocol)
    backend = make_backend(job)
    backend.start_phase(job.phases[0])
    logits, dead = backend.probe(job.validation.images)
    assert np.allclose(logits, backend.logits(job.validation.images), atol=1e-5)
    assert list(dead) == ["conv1", "conv2", "dense1", "dense2"]
    norms = backend.gradient_norms(job.validation.images, job.validation.labels)
    assert norms.keys() == {*dead, "head"}
    assert all(norm > 0 for norm in norms.values())


# --- The rules, on scripted outputs ------------------------------------------------------------


class Scripted:
    """Stands for a backend, with outputs made up beforehand."""

    def __init__(self, logits, dead=None):
        self._logits, self._dead = logits.astype(np.float32), dead or {"conv1": 0.0}

    def probe(self, images):
        return self._logits, self._dead

    def gradient_norms(self, images, labels):
        return {"conv1": 0.0, "head": 1.0}


def one_class(spread=0.0, shift=0.0):
    """Logits that give every image class 2, whose size varies by image or from probe to probe."""
    logits = np.full((20, 10), shift - 0.01)
    logits[:, 2] += 0.02
    return logits + spread * np.linspace(-1, 1, 20)[:, None]


def steps_until_collapse(outputs, limit=1000):
    """The step at which the detector raises, probing every 25 steps, and the diagnosis."""
    detector = CollapseDetector(make_job())
    for step, (logits, dead) in zip(range(0, limit, 25), outputs, strict=False):
        try:
            detector.probe(Scripted(logits, dead), step)
        except Collapsed as collapsed:
            return step, str(collapsed)
    return None, ""


def test_one_class_at_the_loss_of_guessing_is_a_collapse_once_it_lasts():
    slow_start = ((one_class(spread=0.01, shift=number / 1e6), None) for number in count())
    step, diagnosis = steps_until_collapse(slow_start)
    assert step == 225  # 200 after the first probe that counts
    assert "200 steps" in diagnosis and "batch_normalisation" in diagnosis


def test_a_collapse_in_mid_training_is_detected_at_the_second_probe():
    healthy = [(np.eye(10)[np.arange(20) % 10] + shift, None) for shift in range(4)]
    dead = {"conv1": 0.2, "conv2": 1.0}
    collapsed = [(one_class(shift=shift), dead) for shift in range(4)]
    step, diagnosis = steps_until_collapse([*healthy, *collapsed])
    assert step == 125
    assert "100% in conv2" in diagnosis and "vanished in conv1" in diagnosis


def test_equal_answers_before_the_first_step_do_not_count():
    zeros = (np.zeros((20, 10)), None)  # as of a head of zeros
    step, _ = steps_until_collapse([zeros, (one_class(), None), (one_class(shift=1), None)])
    assert step == 50


def test_weights_that_diverge_are_a_collapse_at_once():
    diverged = np.full((20, 10), np.nan)
    step, diagnosis = steps_until_collapse([(one_class(spread=1), None), (diverged, None)])
    assert step == 25
    assert "precision: float32" in diagnosis


def test_the_detectors_state_survives_json():
    detector = CollapseDetector(make_job())
    for step, spread in ((0, 1), (25, 2)):
        detector.probe(Scripted(one_class(spread)), step)
    again = CollapseDetector(make_job())
    again.restore(json.loads(json.dumps(detector.state())))
    assert again.state() == detector.state()
    assert again.dead_relus == 0
