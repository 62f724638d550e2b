"""Pretrained weights in their publishers' file formats, and in the framework-free one.

Framework-free weights are a safetensors file with the names and layouts of
`protocol.initial_weights`. AlexNet's official file is read and written in `twinbench.pytorch.weights`,
since only torch reads it.
"""

from pathlib import Path

import h5py
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from twinbench.architecture import ARCHITECTURES, HEAD, Architecture, kernel_shape, shapes
from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.protocol import Weights


def read(path: Path) -> Weights:
    """Framework-free weights."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not readable as safetensors ({error}); delete it") from error


def write(path: Path, weights: Weights) -> None:
    tensors = {name: np.ascontiguousarray(weights[name], np.float32) for name in sorted(weights)}
    with written_atomically(path) as temporary:
        save_file(tensors, temporary)


def check(weights: Weights, architecture: Architecture, origin: Path) -> Weights:
    """The weights, if they are those of the net's convolutions and dense layers, the head aside.

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


def read_vgg16(path: Path) -> Weights:
    """Keras' VGG16 file without top: a group a layer, its kernel and bias named `*_W_1:0`, `*_b_1:0`.

    Raises `InputError` if the file is no HDF5, or lacks a layer. Nothing in it is executed.
    """
    weights: Weights = {}
    try:
        with h5py.File(path) as file:
            for layer in ARCHITECTURES["vgg16"].weighted_layers():
                if layer == HEAD or layer not in file:
                    continue
                # By rank, since the names inside vary with the Keras that wrote them.
                tensors = sorted(_datasets(file[layer]), key=lambda tensor: -tensor.ndim)
                if len(tensors) == 2:
                    weights[f"{layer}/kernel"] = tensors[0].astype(np.float32)
                    weights[f"{layer}/bias"] = tensors[1].astype(np.float32)
    except OSError as error:
        raise InputError(f"{path}: not readable as HDF5 ({error}); give Keras' .h5 file") from error
    return check(weights, ARCHITECTURES["vgg16"], path)


def _datasets(group: h5py.Group) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    group.visititems(
        lambda _, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None
    )
    return found


def write_vgg16(path: Path, weights: Weights) -> None:
    """Write weights in the layout that `keras.applications.VGG16(weights=path)` loads."""
    layers = [name for name in ARCHITECTURES["vgg16"].weighted_layers() if name != HEAD]
    with written_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"1.2.0"  # the version of the layout, as in the original
        for layer in layers:
            group = file.create_group(layer)
            names = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
            group.attrs["weight_names"] = [name.encode() for name in names]
            group[names[0]] = weights[f"{layer}/kernel"]
            group[names[1]] = weights[f"{layer}/bias"]
