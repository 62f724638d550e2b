"""Weights in the framework-free layout: a safetensors file that every backend reads and writes.

`<layer>/kernel` is float32 (height, width, in, out) for convolutions and (in, out) for dense
layers, whose inputs are flattened in the order height, width, channels; `<layer>/bias` is (out,).
Libraries' own file formats are read and written by each backend's `weights` module.
"""

from pathlib import Path

import numpy as np

from twinbench import tensor_files
from twinbench.errors import InputError
from twinbench.networks.architectures import Architecture, kernel_shape, shapes

Weights = dict[str, np.ndarray]
IMAGENET_CLASSES = 1000


def read(path: Path) -> Weights:
    """The weights in a framework-free file. Raises `InputError` if it is missing or damaged."""
    weights, _ = tensor_files.read(path)
    return weights


def write(path: Path, weights: Weights) -> None:
    """Write weights as float32."""
    tensors = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    tensor_files.write(path, tensors, {})


def check(weights: Weights, architecture: Architecture, origin: Path) -> Weights:
    """The weights, if they are those of the network's convolutions and dense layers, the head aside.

    Raises `InputError` naming the first tensor that is missing, of another shape, or not finite.
    """
    for name, shape in _expected_shapes(architecture).items():
        found = weights.get(name)
        if found is None or found.shape != shape:
            state = "is missing" if found is None else f"has shape {found.shape}, not {shape}"
            raise InputError(
                f"{origin}: tensor {name} {state}; give the official file of {architecture.title}"
            )
        if not np.isfinite(found).all():
            raise InputError(f"{origin}: tensor {name} is not finite; the file is damaged")
    return weights


def _expected_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    expected = {}
    size = max(architecture.input_size, architecture.smallest_input)
    for layer, input_shape, _ in shapes(architecture.layers, size):
        if (shape := kernel_shape(layer, input_shape)) is not None:
            expected[f"{layer.name}/kernel"] = shape
            expected[f"{layer.name}/bias"] = shape[-1:]
    return expected
