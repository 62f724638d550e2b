"""Keras' weights files without top (HDF5, `.h5`): read and written in the framework-free layout."""

from pathlib import Path

import h5py
import numpy as np

from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.networks.architectures import HEAD, Architecture
from twinbench.networks.weights import Weights, check


def read_published(path: Path, architecture: Architecture) -> Weights:
    """The weights in `keras.applications`' file of a network: one group per layer, a kernel and a bias.

    Raises `InputError` if the file is no HDF5, or lacks a layer. Nothing in it is executed.
    """
    weights: Weights = {}
    try:
        with h5py.File(path) as file:
            for layer, name in _names(architecture):
                if name not in file:
                    continue
                # By rank, since the names inside vary with the Keras that wrote them.
                tensors = sorted(_datasets(file[name]), key=lambda tensor: -tensor.ndim)
                if len(tensors) == 2:
                    weights[f"{layer}/kernel"] = tensors[0].astype(np.float32)
                    weights[f"{layer}/bias"] = tensors[1].astype(np.float32)
    except OSError as error:
        raise InputError(f"{path}: not readable as HDF5 ({error}); give Keras' .h5 file") from error
    return check(weights, architecture, path)


def write_published(path: Path, architecture: Architecture, weights: Weights) -> None:
    """Write weights as the network's class in `keras.applications` loads them; the head is left out."""
    names = _names(architecture)
    with written_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["layer_names"] = [name.encode() for _, name in names]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"1.2.0"  # the version of the layout, as in the original
        for layer, name in names:
            group = file.create_group(name)
            tensors = [f"{name}_W_1:0", f"{name}_b_1:0"]
            group.attrs["weight_names"] = [tensor.encode() for tensor in tensors]
            group[tensors[0]] = weights[f"{layer}/kernel"]
            group[tensors[1]] = weights[f"{layer}/bias"]


def _names(architecture: Architecture) -> list[tuple[str, str]]:
    """Our name of each layer but the head, and Keras'."""
    assert architecture.published is not None
    library = architecture.published.layer_names
    return [
        (layer, library.get(layer, layer))
        for layer in architecture.weighted_layers()
        if layer != HEAD
    ]


def _datasets(group: h5py.Group) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    group.visititems(
        lambda _, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None
    )
    return found
