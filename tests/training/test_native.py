"""By `protocol: native` each framework follows its own defaults, and stays reproducible."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import torch
from arms import ARMS
from support import make_job
from twinbench import protocol
from twinbench.pytorch.arm import PyTorchArm
from twinbench.tensorflow.arm import TensorFlowArm


def native_job(**changes):
    return make_job(protocol="native", epochs=1, images=32, **changes)


def _started(make_arm, job):
    arm = make_arm(job)
    (phase,) = protocol.phases(job.settings, job.architecture)
    arm.start_phase(phase)
    return arm, phase


def test_torch_has_its_own_weights_epsilon_and_dropout():
    job = native_job()
    arm, _ = _started(PyTorchArm, job)
    kernel = arm.weights()["dense2/kernel"]
    bound = 1 / np.sqrt(kernel.shape[0])  # kaiming_uniform_ with a = sqrt(5)
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert np.abs(arm.weights()["dense2/bias"]).max() > 0
    arm._prepare_update(0.1)
    assert {group["eps"] for group in arm._optimiser.param_groups} == {1e-8}
    assert isinstance(arm._network.dropout1, torch.nn.Dropout)


def test_keras_has_its_own_weights_epsilon_dropout_and_augmentation():
    job = native_job(optimiser={"epsilon": 0.5})
    arm, _ = _started(TensorFlowArm, job)
    kernel = arm.weights()["dense2/kernel"]
    bound = np.sqrt(6 / sum(kernel.shape))  # glorot_uniform
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert np.abs(arm.weights()["dense2/bias"]).max() == 0
    assert arm._network.optimizer.epsilon == 1e-7
    kinds = [type(layer) for layer in arm._network.layers]
    assert {keras.layers.Dropout, keras.layers.RandomRotation} <= set(kinds)


@ARMS
def test_pretrained_weights_are_kept_and_the_head_is_the_frameworks(make_arm):
    job = native_job(model="vgg16")
    given = {n: w + 1 for n, w in job.initial_weights().items() if not n.startswith("head")}
    job = replace(job, pretrained=given, net_normalisation=True)
    weights = make_arm(job).weights()
    for name, value in given.items():
        assert np.array_equal(weights[name], value), name
    assert not np.array_equal(weights["head/kernel"], job.initial_weights()["head/kernel"])


@ARMS
def test_without_augmentation_and_dropout_it_computes_what_the_twin_does(make_arm):
    none = {"rotation_degrees": 0, "shift_fraction": 0, "horizontal_flip": False}
    changes = {"augmentation": none, "dropout": 0.0, "model": "vgg16"}
    native, harmonised = native_job(**changes), make_job(epochs=1, images=32, **changes)
    losses = []
    for job in (native, harmonised):
        arm, phase = _started(make_arm, job)
        arm.set_weights(harmonised.initial_weights())
        logits = arm.logits(job.test.images)
        arm.train_epoch(phase, 1, 0, 0.0, lambda done: None)
        losses.append(arm.means(job.steps_per_epoch)[0])
        if job is native:
            expected = logits
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(logits).max()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@ARMS
@pytest.mark.parametrize("change", [{"rotation_degrees": 90}, {"scale_fraction": 0.5}], ids=str)
def test_it_augments_in_training(make_arm, change):
    losses = []
    plain = {"rotation_degrees": 0, "shift_fraction": 0, "horizontal_flip": False}
    for augmentation in (plain, plain | change):
        job = native_job(model="vgg16", augmentation=augmentation, dropout=0.0)
        arm, phase = _started(make_arm, job)
        arm.set_weights(job.initial_weights())  # Keras' own leave a deep net all but silent
        arm.train_epoch(phase, 1, 0, 0.0, lambda done: None)
        losses.append(arm.means(job.steps_per_epoch)[0])
    assert abs(losses[0] - losses[1]) > 1e-4


@ARMS
def test_looking_into_the_net_draws_nothing(make_arm):
    job = native_job(model="vgg16")
    arm, _ = _started(make_arm, job)
    before = arm.state()
    logits, _ = arm.inspect(job.test.images)
    assert np.abs(logits - arm.logits(job.test.images)).max() < 1e-5 * np.abs(logits).max()
    after = arm.state()
    assert all(np.array_equal(value, after[name]) for name, value in before.items())
