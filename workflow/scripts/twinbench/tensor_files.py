"""Arrays in a safetensors file that carries a checksum of its content.

The format itself has none: flipped bytes would be read as other numbers.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from twinbench.errors import ANEW, InputError
from twinbench.files import written_atomically

_KEY = "twinbench"


def write(path: Path | str, tensors: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Write tensors with facts about them, anything that JSON holds. Equal content gives equal bytes."""
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    content = json.dumps({"sha256": _digest(tensors, facts), "facts": facts})
    with written_atomically(path) as temporary:
        # One key: safetensors writes several in random order.
        save_file(tensors, temporary, {_KEY: content})


def read(path: Path | str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and facts that `write` wrote. Raises `InputError` if any of it is another by now."""
    with _opened(path) as (file, content):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts, written = content["facts"], content["sha256"]
    if (found := _digest(tensors, facts)) != written:
        raise InputError(
            f"{path}: its content is damaged (sha256 is {found}, written was {written}); {ANEW}"
        )
    return tensors, facts


def read_facts(path: Path | str) -> Any:
    """The facts alone, for a look: only `read` checks whether they are those that were written."""
    with _opened(path) as (_, content):
        return content["facts"]


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[safe_open, dict[str, Any]]]:
    """The file and what its header says. Raises `InputError` if it, or what is read of it, is damaged."""
    try:
        # Opened here as well: of a file that it may not read, safetensors says that it is missing.
        with open(path, "rb"), safe_open(path, framework="numpy") as file:
            yield file, json.loads(file.metadata()[_KEY])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; start again to make it") from None
    except (
        SafetensorError,
        IsADirectoryError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,  # JSON may be nested too deeply
    ) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: damaged, or not a file of this workflow ({reason}); {ANEW}"
        ) from None


def _digest(tensors: dict[str, np.ndarray], facts: dict[str, Any]) -> str:
    """The SHA-256 of the tensors, with their names, types and shapes, and of the facts."""
    outline = {name: [str(each.dtype), each.shape] for name, each in tensors.items()}
    digest = hashlib.sha256(json.dumps([outline, facts], sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).data)
    return digest.hexdigest()
