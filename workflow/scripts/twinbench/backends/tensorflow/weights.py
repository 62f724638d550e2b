"""Weights files of Keras users: read, and written as `keras.applications` has them without top."""

import io
import math
import zipfile
from itertools import count
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.networks.architectures import HEAD, Architecture, Convolution
from twinbench.networks.weights import Weights, advice, check, check_shapes

_KERAS_3 = "layers"  # the group that holds all others in Keras 3's weights files
_WHOLE_MODEL = "model_weights/"  # before the weights of a model that Keras 2 saved as a whole
_LARGEST = 2 << 30  # bytes of the weights within a .keras file, its optimiser's state included

Tensors = dict[str, h5py.Dataset]  # not read yet


def read_published(path: Path, architecture: Architecture) -> Weights:
    """The weights in a Keras file of a network; a head is left out.

    The file is one of `keras.applications` without top, a model saved as `.h5`, or Keras 3's
    `.weights.h5` or `.keras`. Nothing in it is executed. Raises `InputError` if a layer is missing or
    does not fit.
    """
    what_to_do = advice(architecture)
    try:
        with h5py.File(_weights_within(path)) as file:
            tensors = _tensors(_datasets(file), architecture)
            check_shapes(tensors, architecture, path, what_to_do)  # before anything large is read
            weights = {name: _array(tensor) for name, tensor in tensors.items()}
    except InputError:
        raise
    except Exception as error:  # whatever a file leads the libraries to
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: not readable as HDF5 or .keras ({reason}); give a file of model.save_weights, or, "
            "if the file lies under results/weights/, delete it and start again: it will be recreated"
        ) from None
    return check(weights, architecture, path, what_to_do)


def _weights_within(path: Path) -> Path | IO[bytes]:
    """What is in a .keras file, or the file itself if it is another."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("model.weights.h5")
        if entry.file_size > _LARGEST:
            raise ValueError(f"{entry.filename} of {entry.file_size} bytes")
        return io.BytesIO(archive.read(entry))


def _tensors(datasets: dict[str, h5py.Dataset], architecture: Architecture) -> Tensors:
    """The kernels and biases of the network's layers by our names, as far as they are there."""
    if any(name.startswith(f"{_KERAS_3}/") for name in datasets):
        return _in_order(datasets, architecture)
    return _by_name(datasets, architecture)


def _by_name(datasets: dict[str, h5py.Dataset], architecture: Architecture) -> Tensors:
    """From a group per layer with the layer's name, as Keras 2 wrote them."""
    found: Tensors = {}
    for layer, name in layer_names(architecture):
        inside = [each for path, each in datasets.items() if path.startswith(f"{name}/")]
        found |= _kernel_and_bias(layer, inside)
    return found


def _in_order(datasets: dict[str, h5py.Dataset], architecture: Architecture) -> Tensors:
    """From groups that Keras 3 names by kind and number (`conv2d_1`), in the order of the layers.

    A model inside another one is a group of its own; the one with the most layers is the network.
    """
    models: dict[str, dict[str, list[h5py.Dataset]]] = {}
    for name, tensor in datasets.items():
        model, _, layer = name.rpartition("/vars/")[0].rpartition("/")
        models.setdefault(model, {}).setdefault(layer, []).append(tensor)
    found = max(models.values(), key=len, default={})
    convolutions = [x.name for x in architecture.layers if isinstance(x, Convolution)]
    weights: Tensors = {}
    numbers = {"conv2d": count(), "dense": count()}
    for layer, _ in layer_names(architecture):
        kind = "conv2d" if layer in convolutions else "dense"
        number = next(numbers[kind])
        weights |= _kernel_and_bias(layer, found.get(f"{kind}_{number}" if number else kind, []))
    return weights


def _kernel_and_bias(layer: str, tensors: list[h5py.Dataset]) -> Tensors:
    # By rank, since the names inside vary with the Keras that wrote them.
    ordered = sorted(tensors, key=lambda tensor: -(tensor.ndim or 0))
    names = (f"{layer}/kernel", f"{layer}/bias")
    return dict(zip(names, ordered, strict=True)) if len(ordered) == len(names) else {}


def _array(tensor: h5py.Dataset) -> np.ndarray:
    """Its numbers as float32. Raises `ValueError` if they are no numbers or not in this file."""
    if tensor.dtype.kind != "f":
        raise ValueError(f"{tensor.name} holds {tensor.dtype}, not floating-point numbers")
    if tensor.external or tensor.is_virtual:
        raise ValueError(f"{tensor.name} lies in another file")
    if (chunk := math.prod(tensor.chunks or ()) * tensor.dtype.itemsize) > _LARGEST:
        raise ValueError(f"{tensor.name} has chunks of {chunk} bytes")
    return tensor[()].astype(np.float32)


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


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All arrays in a file by their paths; links are not followed."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name.removeprefix(_WHOLE_MODEL)] = item

    file.visititems(visit)
    return found
