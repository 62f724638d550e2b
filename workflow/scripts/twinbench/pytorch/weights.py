"""torchvision's AlexNet file: read and written, in the framework-free layout."""

import pickle
from pathlib import Path

import numpy as np
import torch
from torchvision.models import alexnet

from twinbench import weights
from twinbench.architecture import ARCHITECTURES, HEAD, Architecture
from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.protocol import Weights
from twinbench.pytorch import network

_NET: Architecture = ARCHITECTURES["alexnet"]
IMAGENET_CLASSES = 1000

# Our names of torchvision's layers.
_OFFICIAL_NAMES = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "dense1": "classifier.1",
    "dense2": "classifier.4",
    HEAD: "classifier.6",
}


def read_alexnet(path: Path) -> Weights:
    """The weights of a state dict of `torchvision.models.alexnet`, its head for 1000 classes included.

    Raises `InputError` if the file is no such state dict. It is read without unpickling objects.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        official = alexnet()
        official.load_state_dict(state)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: not a state dict of torchvision's AlexNet ({reason}); give its .pth file"
        ) from error
    layers = _NET.with_head(IMAGENET_CLASSES)
    ours = network.build(layers, batch_normalisation=False, input_size=_NET.input_size)
    ours.load_state_dict(
        {
            f"{name}.{part}": state[f"{official_name}.{part}"]
            for name, official_name in _OFFICIAL_NAMES.items()
            for part in ("weight", "bias")
        }
    )
    return weights.check(network.get_weights(ours, layers, _NET.input_size), _NET, path)


def write_alexnet(path: Path, values: Weights) -> None:
    """The inverse of `read_alexnet`. A head for fewer classes is filled up with zeros to 1000."""
    missing = IMAGENET_CLASSES - len(values[f"{HEAD}/bias"])
    padded = {
        f"{HEAD}/{part}": np.pad(values[f"{HEAD}/{part}"], [(0, 0)] * dimensions + [(0, missing)])
        for part, dimensions in (("kernel", 1), ("bias", 0))
    }
    layers = _NET.with_head(IMAGENET_CLASSES)
    ours = network.build(layers, batch_normalisation=False, input_size=_NET.input_size)
    network.set_weights(ours, values | padded, layers, _NET.input_size)
    state = ours.state_dict()
    official = {
        f"{official_name}.{part}": state[f"{name}.{part}"]
        for name, official_name in _OFFICIAL_NAMES.items()
        for part in ("weight", "bias")
    }
    # Through an open file: torch writes a path's name, here a random one, into the file.
    with written_atomically(path) as temporary, open(temporary, "wb") as file:
        torch.save(official, file)
