"""What frozen layers make of the images is computed once, and trains the rest as if computed anew."""

import re

import numpy as np
import pytest
from arms import ARMS, PyTorchArm, TensorFlowArm, TerminatedAt, train_job
from support import make_job
from twinbench import protocol, training
from twinbench.feature_cache import first_computed_layer

PLAIN = {"rotation_degrees": 0, "shift_fraction": 0, "horizontal_flip": False}
FROZEN = ["block1", "block2", "block3", "block4"]


def _job(**changes):
    settings = {
        "epochs": 3,
        "frozen": FROZEN,
        "cached_views": 2,
        "dropout": 0.5,
        "learning_rate": 0.0001,
        "keep": "last",
        **changes,
    }
    return make_job(model="vgg16", images=32, **settings)


def _train(make_arm, folder, progress=None, **changes):
    job = _job(**changes)
    return job, *train_job(make_arm, job, folder, progress)


def _losses(outcome):
    return [row["train_loss"] for row in outcome.history]


@ARMS
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_without_augmentation_training_is_as_without_a_cache(make_arm, tmp_path, precision):
    options = {"augmentation": PLAIN, "precision": precision}
    _, cached, with_cache = _train(make_arm, tmp_path / "a", **options)
    job, anew, without = _train(make_arm, tmp_path / "b", cached_views=0, **options)
    tolerance = 1e-4 if precision == "float32" else 2e-2
    assert _losses(with_cache) == pytest.approx(_losses(without), rel=tolerance)
    logits = [arm.logits(job.test.images) for arm in (cached, anew)]
    assert np.abs(logits[0] - logits[1]).max() < 10 * tolerance * np.abs(logits[0]).max()


def test_the_twins_take_the_same_views(tmp_path):
    outcomes = [_train(make, tmp_path / make.__name__)[2] for make in (PyTorchArm, TensorFlowArm)]
    assert _losses(outcomes[0]) == pytest.approx(_losses(outcomes[1]), rel=1e-3)


@ARMS
def test_each_view_is_computed_once_and_frozen_layers_stay(make_arm, tmp_path, caplog):
    caplog.set_level("INFO")
    job, arm, _ = _train(make_arm, tmp_path)
    assert re.findall(r"features of view (\d) of 2", caplog.text) == ["1", "2"]
    initial = job.initial_weights()
    changed = {
        name.split("/")[0]
        for name, value in arm.weights().items()
        if (value != initial[name]).any()
    }
    assert changed == {"block5_conv1", "block5_conv2", "block5_conv3", "head"}


@ARMS
def test_an_interrupted_training_goes_on_to_the_same_bits(make_arm, tmp_path):
    job, whole, _ = _train(make_arm, tmp_path / "whole")
    with pytest.raises(training.Interrupted):
        _train(make_arm, tmp_path, TerminatedAt(3, tmp_path / "events", 3, 1))
    _, resumed, _ = _train(make_arm, tmp_path)
    assert np.array_equal(resumed.logits(job.test.images), whole.logits(job.test.images))


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, "block5_conv1"),
        ({"frozen": ["block"]}, "dropout1"),
        ({"frozen": []}, None),
        ({"frozen": ["block2"]}, None),  # the first layer is trained
        ({"cached_views": 0}, None),
        ({"cached_views": 3}, None),  # nothing would be used twice
        ({"batch_normalisation": True}, None),
        ({"protocol": "native"}, None),
        ({"progressive_resizing": {"epochs": 1}, "input_size": 48}, None),
    ],
)
def test_what_is_cached(changes, first):
    job = _job(**changes)
    (phase,) = protocol.phases(job.settings, job.architecture)
    assert first_computed_layer(job, phase) == first
