"""With `protocol: native` each framework follows its own defaults, and stays reproducible."""

import keras
import numpy as np
import pytest
import torch
from frameworks import EACH_FRAMEWORK, PyTorch, TensorFlow
from support import NO_AUGMENTATION, TINY_RESIZABLE, make_job
from trainings import train_epoch


def native_job(**changes):
    return make_job(**{"protocol": "native", "epochs": 1, "images": 32, **changes})


def started(make_backend, job):
    backend = make_backend(job)
    backend.start_phase(job.phases[0])
    return backend


def trained_loss(backend, job):
    """The mean loss of an epoch from the harmonised initial weights."""
    backend.set_weights(job.initial_weights())
    plan = job.plan(job.phases[0], 1)
    train_epoch(backend, plan)
    return backend.running_metrics(plan.steps)[0]


def test_torch_has_its_own_initial_weights_epsilon_and_dropout():
    job = native_job(optimiser={"epsilon": 0.5})
    backend = started(PyTorch, job)
    kernel = backend.weights()["dense1/kernel"]
    bound = 1 / np.sqrt(kernel.shape[0])  # kaiming_uniform_ with a = sqrt(5)
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert backend.weights()["dense1/bias"].any()
    trained_loss(backend, job)
    assert backend._optimiser.epsilon == 1e-8
    assert isinstance(backend._network.dropout1, torch.nn.Dropout)


def test_keras_has_its_own_initial_weights_epsilon_dropout_and_augmentation():
    backend = started(TensorFlow, native_job(optimiser={"epsilon": 0.5}))
    kernel = backend.weights()["dense1/kernel"]
    bound = np.sqrt(6 / sum(kernel.shape))  # glorot_uniform
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert not backend.weights()["dense1/bias"].any()
    assert backend._network.optimizer.epsilon == 1e-7
    kinds = {type(layer) for layer in backend._network.layers}
    assert kinds >= {keras.layers.Dropout, keras.layers.RandomRotation}


@EACH_FRAMEWORK
def test_pretrained_weights_are_used_and_the_head_is_the_frameworks_own(make_backend):
    plain = native_job(architecture=TINY_RESIZABLE).initial_weights()
    given = {name: value + 1 for name, value in plain.items() if not name.startswith("head/")}
    weights = make_backend(native_job(architecture=TINY_RESIZABLE, pretrained=given)).weights()
    assert all(np.array_equal(weights[name], value) for name, value in given.items())
    assert not np.array_equal(weights["head/kernel"], plain["head/kernel"])


@EACH_FRAMEWORK
def test_without_augmentation_and_dropout_it_computes_what_the_harmonised_run_does(make_backend):
    changes = {"augmentation": NO_AUGMENTATION, "dropout": 0.0}
    logits, losses = [], []
    for job in (native_job(**changes), native_job(protocol="harmonised", **changes)):
        backend = started(make_backend, job)
        backend.set_weights(job.initial_weights())
        logits.append(backend.logits(job.test.images))
        losses.append(trained_loss(backend, job))
    assert np.abs(logits[0] - logits[1]).max() < 1e-4 * np.abs(logits[1]).max()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@EACH_FRAMEWORK
def test_it_augments_in_training(make_backend):
    losses = []
    for change in ({}, {"rotation_degrees": 90}, {"scale_fraction": 0.5}):
        job = native_job(augmentation=NO_AUGMENTATION | change, dropout=0.0)
        losses.append(trained_loss(started(make_backend, job), job))
    assert min(abs(losses[0] - loss) for loss in losses[1:]) > 1e-4
