"""Weights in the framework-free layout: a safetensors file that every backend reads and writes.

`<layer>/kernel` is float32 (height, width, in, out) for convolutions and (in, out) for dense
layers, whose inputs are flattened in the order height, width, channels; `<layer>/bias` is (out,).
Libraries' own file formats are read and written by each backend's `weights` module.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twinbench import tensor_files
from twinbench.errors import ANEW, InputError
from twinbench.networks.architectures import HEAD, Architecture, kernel_shape, shapes

Weights = dict[str, np.ndarray]
IMAGENET_CLASSES = 1000


def read(path: Path, architecture: Architecture) -> Weights:
    """The network's weights in a framework-free file. Raises `InputError` if it has no such."""
    weights, _ = tensor_files.read(path)
    return check(weights, architecture, path, ANEW)


def write(path: Path, weights: Weights) -> None:
    """Write weights as float32."""
    tensors = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    tensor_files.write(path, tensors, {})


def advice(architecture: Architecture) -> str:
    """What to do about a library's file that does not have the network's weights."""
    return (
        f"give weights of {architecture.title}, or, if the file lies under results/weights/, delete it "
        "and start again: it will be recreated"
    )


def check(weights: Weights, architecture: Architecture, origin: Path, advice: str) -> Weights:
    """The weights without a head, if they are those of the network's convolutions and dense layers.

    Raises `InputError`, with the advice, naming the first tensor that is missing, of another shape, or
    not finite.
    """
    check_shapes(weights, architecture, origin, advice)
    for name in _expected_shapes(architecture):
        if not np.isfinite(weights[name]).all():
            raise InputError(f"{origin}: tensor {name} is not finite; {advice}")
    return {name: value for name, value in weights.items() if not name.startswith(f"{HEAD}/")}


def check_shapes(
    tensors: Mapping[str, Any], architecture: Architecture, origin: Path, advice: str
) -> None:
    """As `check`, of whatever has a `shape`: tensors need not be read for it."""
    for name, shape in _expected_shapes(architecture).items():
        found = tensors.get(name)
        if found is None or found.shape != shape:
            state = "is missing" if found is None else f"has shape {found.shape}, not {shape}"
            raise InputError(f"{origin}: tensor {name} {state}; {advice}")


def _expected_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    expected = {}
    for layer, input_shape, _ in shapes(architecture.layers, architecture.input_size):
        if (shape := kernel_shape(layer, input_shape)) is not None:
            expected[f"{layer.name}/kernel"] = shape
            expected[f"{layer.name}/bias"] = shape[-1:]
    return expected
