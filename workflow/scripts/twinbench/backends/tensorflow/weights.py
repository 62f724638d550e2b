"""Weights files of Keras users: read, and written as `keras.applications` has them without top."""

import io
import zipfile
from itertools import count
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.networks.architectures import HEAD, Architecture, Convolution
from twinbench.networks.weights import Weights, check

_KERAS_3 = "layers"  # the group that holds all others in Keras 3's weights files
_LARGEST = 4 << 30  # bytes of one tensor, or of the weights within a .keras file


def read_published(path: Path, architecture: Architecture) -> Weights:
    """The weights in a Keras file of a network; a head is left out.

    The file is one of `keras.applications` without top, a model saved as `.h5`, or Keras 3's
    `.weights.h5` or `.keras`. Nothing in it is executed. Raises `InputError` if a layer is missing or
    does not fit.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                weights = _read(_weights_within(archive), architecture)
        else:
            weights = _read(path, architecture)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: not readable as HDF5 or .keras ({reason}); give a file of model.save_weights"
        ) from error
    return check(weights, architecture, path)


def _weights_within(archive: zipfile.ZipFile) -> IO[bytes]:
    entry = archive.getinfo("model.weights.h5")
    if entry.file_size > _LARGEST:
        raise ValueError(f"{entry.filename} of {entry.file_size} bytes")
    return io.BytesIO(archive.read(entry))


def _read(source: Path | IO[bytes], architecture: Architecture) -> Weights:
    with h5py.File(source) as file:
        root = file.get("model_weights", file)
        return _in_order(root, architecture) if _KERAS_3 in root else _by_name(root, architecture)


def _by_name(root: h5py.Group, architecture: Architecture) -> Weights:
    """From a group per layer with the layer's name, as Keras 2 wrote them."""
    weights: Weights = {}
    for layer, name in layer_names(architecture):
        if name in root:
            weights |= _kernel_and_bias(layer, list(_datasets(root[name]).values()))
    return weights


def _in_order(root: h5py.Group, architecture: Architecture) -> Weights:
    """From groups that Keras 3 names by kind and number (`conv2d_1`), in the order of the layers.

    A model inside another one is a group of its own; the one with the most layers is the network.
    """
    models: dict[str, dict[str, list[np.ndarray]]] = {}
    for name, tensor in _datasets(root).items():
        model, _, layer = name.rpartition("/vars/")[0].rpartition("/")
        models.setdefault(model, {}).setdefault(layer, []).append(tensor)
    found = max(models.values(), key=len, default={})
    convolutions = [x.name for x in architecture.layers if isinstance(x, Convolution)]
    weights: Weights = {}
    numbers = {"conv2d": count(), "dense": count()}
    for layer, _ in layer_names(architecture):
        kind = "conv2d" if layer in convolutions else "dense"
        number = next(numbers[kind])
        weights |= _kernel_and_bias(layer, found.get(f"{kind}_{number}" if number else kind, []))
    return weights


def _kernel_and_bias(layer: str, tensors: list[np.ndarray]) -> Weights:
    # By rank, since the names inside vary with the Keras that wrote them.
    ordered = sorted(tensors, key=lambda tensor: -tensor.ndim)
    if len(ordered) != 2:
        return {}
    kernel, bias = (tensor.astype(np.float32) for tensor in ordered)
    return {f"{layer}/kernel": kernel, f"{layer}/bias": bias}


def write_published(path: Path, architecture: Architecture, weights: Weights) -> None:
    """Write weights as the network's class in `keras.applications` loads them; the head is left out."""
    names = layer_names(architecture)
    buffer = io.BytesIO()  # HDF5 crashes the process where it writes to a disk that is full
    with h5py.File(buffer, "w") as file:
        file.attrs["layer_names"] = [name.encode() for _, name in names]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"1.2.0"  # the version of the layout, as in the original
        for layer, name in names:
            group = file.create_group(name)
            tensors = [f"{name}_W_1:0", f"{name}_b_1:0"]
            group.attrs["weight_names"] = [tensor.encode() for tensor in tensors]
            group[tensors[0]] = weights[f"{layer}/kernel"]
            group[tensors[1]] = weights[f"{layer}/bias"]
    with written_atomically(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def layer_names(architecture: Architecture) -> list[tuple[str, str]]:
    """Our name of each layer but the head, and Keras'."""
    assert architecture.published is not None
    library = architecture.published.layer_names
    return [
        (layer, library.get(layer, layer))
        for layer in architecture.weighted_layers()
        if layer != HEAD
    ]


def _datasets(group: h5py.Group) -> dict[str, np.ndarray]:
    """All arrays in a group, by their paths."""
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            if item.nbytes > _LARGEST:
                raise ValueError(f"{name} of {item.nbytes} bytes")
            found[name] = item[()]

    group.visititems(visit)
    return found
