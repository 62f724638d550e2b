"""The weights from which both frameworks start, in the framework-free layout."""

import math

import numpy as np

from twinbench.networks.architectures import HEAD, Dense, Layer, kernel_shape, shapes
from twinbench.networks.weights import Weights
from twinbench.recipe.randomness import random_generator

BATCH_NORMALISATION_EPSILON = 1e-5
BATCH_NORMALISATION_MOMENTUM = 0.9  # of the old value, as Keras counts; torch counts the new one's


def initial_weights(
    seed: int,
    layers: tuple[Layer, ...],
    input_size: int,
    batch_normalisation: bool,
    given: Weights | None = None,
) -> Weights:
    """Random weights in the layout that `networks.weights` describes.

    Kernels are normal with variance 2 / fan-in before a ReLU (He et al. 2015) and 1 / fan-in in the head
    (LeCun et al. 1998); biases are zero. Batch normalisation adds `gamma`, `beta`, `mean` and `variance`
    to each convolution. Kernels that are `given` in the right shape are used, which saves their random
    numbers: each layer has its own.
    """
    weights: Weights = {}
    for index, (layer, input_shape, output_shape) in enumerate(shapes(layers, input_size)):
        shape = kernel_shape(layer, input_shape)
        if shape is None:
            continue
        gain = 1 if layer.name == HEAD else 2
        std = math.sqrt(gain / math.prod(shape[:-1]))
        kernel = (given or {}).get(f"{layer.name}/kernel")
        if kernel is None or kernel.shape != shape:
            random = random_generator(seed, "weights", index)
            kernel = random.standard_normal(shape, dtype=np.float32) * np.float32(std)
        weights[f"{layer.name}/kernel"] = kernel
        weights[f"{layer.name}/bias"] = np.zeros(shape[-1], np.float32)
        if batch_normalisation and not isinstance(layer, Dense):
            for name, value in (("gamma", 1), ("beta", 0), ("mean", 0), ("variance", 1)):
                weights[f"{layer.name}/{name}"] = np.full(output_shape[-1], value, np.float32)
    return weights


def fold_batch_normalisation(weights: Weights) -> Weights:
    """The same network without batch normalisation, which is folded into kernels and biases."""
    folded = dict(weights)
    for name in [key.removesuffix("/gamma") for key in weights if key.endswith("/gamma")]:
        gamma, beta, mean, variance = (
            folded.pop(f"{name}/{part}") for part in ("gamma", "beta", "mean", "variance")
        )
        scale = gamma / np.sqrt(variance + BATCH_NORMALISATION_EPSILON)
        folded[f"{name}/kernel"] = weights[f"{name}/kernel"] * scale
        folded[f"{name}/bias"] = (weights[f"{name}/bias"] - mean) * scale + beta
    return folded
