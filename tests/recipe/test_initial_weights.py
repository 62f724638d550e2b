"""Where trainings start: variances by fan-in, and batch normalisation that folds away."""

import math

import numpy as np
import pytest
from twinbench.networks.architectures import HEAD, Convolution, Dense, Flatten, MaxPooling
from twinbench.recipe.initial_weights import fold_batch_normalisation, initial_weights

LAYERS = (
    Convolution("conv1", 64, 3, padding=1),
    Convolution("conv2", 64, 3, padding=1),
    MaxPooling("pool", 16, 16),
    Flatten("flatten"),
    Dense("dense", 256),
    Dense(HEAD, 200),
)


def test_kernels_have_he_variance_the_head_lecun_variance_and_biases_are_zero():
    weights = initial_weights(1, LAYERS, 32, False)
    for layer, gain, fan_in in (("conv2", 2, 9 * 64), ("dense", 2, 4 * 64), (HEAD, 1, 256)):
        std = weights[f"{layer}/kernel"].std()
        assert std == pytest.approx(math.sqrt(gain / fan_in), rel=0.02), layer
        assert not weights[f"{layer}/bias"].any()


def test_batch_normalisation_adds_its_tensors_to_convolutions_alone_and_changes_no_kernel():
    plain = initial_weights(1, LAYERS, 32, False)
    weights = initial_weights(1, LAYERS, 32, True)
    parts = ("gamma", "beta", "mean", "variance")
    assert weights.keys() - plain.keys() == {f"conv{n}/{part}" for n in (1, 2) for part in parts}
    assert all(np.array_equal(weights[name], value) for name, value in plain.items())


def test_folding_batch_normalisation_keeps_what_the_layer_computes():
    random = np.random.default_rng(0)
    parts = ("bias", "gamma", "beta", "mean")
    weights = {f"conv/{part}": random.normal(size=4).astype(np.float32) for part in parts}
    weights["conv/variance"] = random.uniform(0.5, 2, 4).astype(np.float32)
    weights["conv/kernel"] = random.normal(size=(1, 1, 3, 4)).astype(np.float32)
    folded = fold_batch_normalisation(weights)
    inputs = random.normal(size=(5, 3))
    plain = inputs @ weights["conv/kernel"][0, 0] + weights["conv/bias"]
    normalised = (plain - weights["conv/mean"]) / np.sqrt(weights["conv/variance"] + 1e-5)
    expected = normalised * weights["conv/gamma"] + weights["conv/beta"]
    assert folded.keys() == {"conv/kernel", "conv/bias"}
    found = inputs @ folded["conv/kernel"][0, 0] + folded["conv/bias"]
    assert np.allclose(found, expected, atol=1e-6)
