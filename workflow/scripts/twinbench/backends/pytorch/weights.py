"""torchvision's weights files (state dicts, `.pth`): read and written in the framework-free layout."""

import pickle
from pathlib import Path

import numpy as np
import torch

from twinbench.backends.pytorch import network
from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.networks.architectures import HEAD, Architecture
from twinbench.networks.weights import IMAGENET_CLASSES, Weights, check

_PARTS = ("weight", "bias")


def read_published(path: Path, architecture: Architecture) -> Weights:
    """The weights in torchvision's state dict of a network, its head for 1000 classes included.

    Raises `InputError` if the file is no such state dict. It is read without unpickling objects.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        ours = _empty(architecture)
        ours.load_state_dict({mine: state[theirs] for mine, theirs in _names(architecture)})
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: not a state dict of {architecture.title} ({reason}); give torchvision's .pth file"
        ) from error
    layers = architecture.with_head(IMAGENET_CLASSES)
    return check(
        network.get_weights(ours, layers, architecture.input_size), architecture, origin=path
    )


def write_published(path: Path, architecture: Architecture, weights: Weights) -> None:
    """The inverse of `read_published`. A head for fewer classes is filled up with zeros to 1000."""
    missing = IMAGENET_CLASSES - len(weights[f"{HEAD}/bias"])
    padded = {
        f"{HEAD}/{part}": np.pad(weights[f"{HEAD}/{part}"], [(0, 0)] * dimensions + [(0, missing)])
        for part, dimensions in (("kernel", 1), ("bias", 0))
    }
    ours = _empty(architecture)
    layers = architecture.with_head(IMAGENET_CLASSES)
    network.set_weights(ours, weights | padded, layers, architecture.input_size)
    state = ours.state_dict()
    published = {theirs: state[mine] for mine, theirs in _names(architecture)}
    # Through an open file: torch writes a path's name, here a random one, into the file.
    with written_atomically(path) as temporary, open(temporary, "wb") as file:
        torch.save(published, file)


def _empty(architecture: Architecture) -> torch.nn.Sequential:
    layers = architecture.with_head(IMAGENET_CLASSES)
    return network.build(layers, batch_normalisation=False, input_size=architecture.input_size)


def _names(architecture: Architecture) -> list[tuple[str, str]]:
    """Our name of each tensor, and torchvision's."""
    assert architecture.published is not None
    library = architecture.published.layer_names
    return [
        (f"{layer}.{part}", f"{library.get(layer, layer)}.{part}")
        for layer in architecture.weighted_layers()
        for part in _PARTS
    ]
