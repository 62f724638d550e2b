"""Weights files of PyTorch users: read, and written as torchvision's, in the framework-free layout."""

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from twinbench.backends.pytorch import network
from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.networks.architectures import HEAD, Architecture
from twinbench.networks.weights import IMAGENET_CLASSES, Weights, check

_SAVE_STATE = "save the state dict alone: torch.save(model.state_dict(), path)"


def read_published(path: Path, architecture: Architecture) -> Weights:
    """The weights in a state dict of a network with torchvision's names; the head is left out.

    The file is torch's or a `.safetensors`. The state dict may be inside others (`{"state_dict":
    ...}`), and its names may have a prefix (`module.`, `_orig_mod.`). Nothing in it is executed.
    Raises `InputError`.
    """
    state, layers = read_state(path, architecture), architecture.layers
    with torch.device("meta"):
        ours = network.build(layers, batch_normalisation=False, input_size=architecture.input_size)
    expected = ours.state_dict()
    for mine, theirs in _body_names(architecture):
        found, wanted = tuple(state[theirs].shape), tuple(expected[mine].shape)
        if found != wanted:
            raise InputError(
                f"{path}: tensor {theirs} has shape {found}, not {wanted}; "
                f"give weights of {architecture.title}"
            )
    named = {mine: state[theirs].float() for mine, theirs in _body_names(architecture)}
    ours.load_state_dict(named, assign=True)
    return check(network.get_weights(ours, layers, architecture.input_size), architecture, path)


def read_state(path: Path, architecture: Architecture) -> dict[str, torch.Tensor]:
    """The tensors of a network's layers but the head, by torchvision's names. Raises `InputError`."""
    names = [theirs for _, theirs in _body_names(architecture)]
    content = _load(path)
    for state in _state_dicts(content):
        found = [name for name in state if str(name).endswith(names[0])]
        prefixes = {str(name).removesuffix(names[0]) for name in found}
        for prefix in sorted(prefixes, key=len):
            if all(isinstance(state.get(prefix + name), torch.Tensor) for name in names):
                return {name: state[prefix + name] for name in names}
    seen = next(_state_dicts(content), {})
    held = ", ".join(map(str, list(seen)[:3])) or type(content).__name__
    raise InputError(
        f"{path}: no state dict of {architecture.title}, which has {names[0]}, {names[1]} ...; "
        f"this file has {held}"
    )


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch's own text advises to execute what is in the file.
        other = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"holds more than tensors ({other[1]})" if other else "is no file of torch.save"
        raise InputError(f"{path}: {what}, which is not loaded; {_SAVE_STATE}") from None
    except (
        OSError,
        RuntimeError,
        EOFError,
        TypeError,
        KeyError,
        ValueError,
        SafetensorError,
    ) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{path}: not readable as weights ({reason}); {_SAVE_STATE}") from None


def _state_dicts(content: Any) -> Iterator[Mapping]:
    """The mapping itself, then those inside it."""
    if isinstance(content, Mapping):
        yield content
        for value in content.values():
            yield from _state_dicts(value)


def write_published(path: Path, architecture: Architecture, weights: Weights) -> None:
    """Write weights as torchvision's. A head for fewer classes is filled up with zeros to 1000."""
    missing = IMAGENET_CLASSES - len(weights[f"{HEAD}/bias"])
    padded = {
        f"{HEAD}/{part}": np.pad(weights[f"{HEAD}/{part}"], [(0, 0)] * dimensions + [(0, missing)])
        for part, dimensions in (("kernel", 1), ("bias", 0))
    }
    ours = _empty(architecture)
    layers = architecture.with_head(IMAGENET_CLASSES)
    network.set_weights(ours, weights | padded, layers, architecture.input_size)
    state = ours.state_dict()
    published = {theirs: state[mine] for mine, theirs in network.library_names(architecture)}
    # Through an open file: torch writes a path's name, here a random one, into the file.
    with written_atomically(path) as temporary, open(temporary, "wb") as file:
        torch.save(published, file)


def _empty(architecture: Architecture) -> torch.nn.Sequential:
    layers = architecture.with_head(IMAGENET_CLASSES)
    return network.build(layers, batch_normalisation=False, input_size=architecture.input_size)


def _body_names(architecture: Architecture) -> list[tuple[str, str]]:
    """As `network.library_names`, without the head's."""
    return [
        names
        for names in network.library_names(architecture)
        if not names[0].startswith(f"{HEAD}.")
    ]
