"""Weights files of PyTorch users: read, and written as torchvision's, in the framework-free layout."""

import pickle
import re
import tarfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from twinbench.backends.pytorch import network
from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.networks.architectures import HEAD, Architecture
from twinbench.networks.weights import IMAGENET_CLASSES, Weights, advice, check

_SAVE_STATE = (
    "save the state dict alone, torch.save(model.state_dict(), path), or, if the file lies under "
    "results/weights/, delete it and start again: it will be recreated"
)


def read_published(path: Path, architecture: Architecture) -> Weights:
    """The weights in a state dict of a network with torchvision's names; the head is left out.

    The file is torch's or a `.safetensors`. The state dict may be inside others (`{"state_dict":
    ...}`), and its names may have a prefix (`module.`, `_orig_mod.`). Nothing in it is executed.
    Raises `InputError`.
    """
    state, layers = read_state(path, architecture), architecture.layers
    what_to_do = advice(architecture)
    with torch.device("meta"):
        ours = network.build(layers, batch_normalisation=False, input_size=architecture.input_size)
    expected = ours.state_dict()
    for mine, theirs in _body_names(architecture):
        found, wanted = tuple(state[theirs].shape), tuple(expected[mine].shape)
        if found != wanted:
            raise InputError(
                f"{path}: tensor {theirs} has shape {found}, not {wanted}; {what_to_do}"
            )
        if not _holds_numbers(state[theirs]):
            kind = f"{state[theirs].dtype}, {state[theirs].layout}, {state[theirs].device}"
            raise InputError(
                f"{path}: tensor {theirs} ({kind}) holds no floating-point numbers; {what_to_do}"
            )
    named = {mine: state[theirs].float() for mine, theirs in _body_names(architecture)}
    ours.load_state_dict(named, assign=True)
    found_weights = network.get_weights(ours, layers, architecture.input_size)
    return check(found_weights, architecture, path, what_to_do)


def _holds_numbers(tensor: torch.Tensor) -> bool:
    """Whether it is a plain array of floating-point numbers: not sparse, and not of a shape alone."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    return plain and tensor.dtype.is_floating_point


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
    held = ", ".join(repr(name)[:80] for name in list(seen)[:3]) or type(content).__name__
    raise InputError(
        f"{path}: no state dict of {architecture.title}, which has {names[0]}, {names[1]} ...: "
        f"this file has {held}; {advice(architecture)}"
    )


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _check_format(path)
        with warnings.catch_warnings(action="ignore"):  # about formats: it can be read, or not
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch's own text advises to execute what is in the file.
        other = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"holds more than tensors ({other[1]})" if other else "is no file of torch.save"
        raise InputError(f"{path}: {what}, which is not loaded; {_SAVE_STATE}") from None
    except Exception as error:  # whatever a file leads the libraries to
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{path}: not readable as weights ({reason}); {_SAVE_STATE}") from None


def _check_format(path: Path) -> None:
    """Raise `ValueError` for torch's oldest format, whose content would be executed, and where the parts
    of a zip unpack to more than its size: torch compresses none."""
    if tarfile.is_tarfile(path):
        raise ValueError("a tar, as torch wrote it before 2017")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > path.stat().st_size:
            raise ValueError(f"it unpacks to {unpacked} bytes")


def _state_dicts(content: Any) -> Iterator[Mapping]:
    """The mapping itself, then those inside it, each once, wherever else it stands."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, Mapping) and id(value) not in seen:
            seen.add(id(value))
            yield value
            waiting += value.values()


def write_published(path: Path, architecture: Architecture, weights: Weights) -> None:
    """Write weights as torchvision's. A head for fewer classes is filled up with zeros to 1000."""
    missing = IMAGENET_CLASSES - len(weights[f"{HEAD}/bias"])
    padded = {
        f"{HEAD}/{part}": np.pad(weights[f"{HEAD}/{part}"], [(0, 0)] * dimensions + [(0, missing)])
        for part, dimensions in (("kernel", 1), ("bias", 0))
    }
    layers = architecture.with_head(IMAGENET_CLASSES)
    ours = network.build(layers, batch_normalisation=False, input_size=architecture.input_size)
    network.set_weights(ours, weights | padded, layers, architecture.input_size)
    state = ours.state_dict()
    published = {theirs: state[mine] for mine, theirs in network.library_names(architecture)}
    # Through an open file: torch writes a path's name, here a random one, into the file.
    with written_atomically(path) as temporary, open(temporary, "wb") as file:
        torch.save(published, file)


def _body_names(architecture: Architecture) -> list[tuple[str, str]]:
    """As `network.library_names`, without the head's."""
    return [
        names
        for names in network.library_names(architecture)
        if not names[0].startswith(f"{HEAD}.")
    ]
