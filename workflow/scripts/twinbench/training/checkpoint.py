"""Checkpoints of a training: written atomically, verified, and found only by the same training.

A checkpoint lies beside the outputs of its run but is not one of them, since Snakemake deletes
outputs when a job starts again. Its name holds a hash of all that determines the result, so that
only a training that would have reached the same state finds it.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from twinbench.errors import InputError
from twinbench.files import remove_unfinished, written_atomically

log = logging.getLogger(__name__)

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """`tensors` by name, and `state`, anything that JSON holds."""

    tensors: Tensors
    state: dict


@dataclass(frozen=True)
class CheckpointStore:
    """The one checkpoint of the training `name` in `folder`. `key`, hexadecimal, identifies the
    training."""

    folder: Path
    name: str
    key: str
    path: Path = field(init=False)

    def __post_init__(self) -> None:
        path = self.folder / f".checkpoint-{self.name}-{self.key[:16]}.safetensors"
        object.__setattr__(self, "path", path)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint. The old one stays whole until the new one is."""
        tensors = {name: np.asarray(t, order="C") for name, t in checkpoint.tensors.items()}
        state = json.dumps(checkpoint.state)
        metadata = {"key": self.key, "state": state, "sha256": _digest(tensors, state)}
        try:
            with written_atomically(self.path) as temporary:
                save_file(tensors, temporary, metadata)
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{self.path}: the checkpoint could not be written ({error}); "
                "make room or set permissions, then start again: the one before it is untouched"
            ) from error

    def load(self) -> Checkpoint | None:
        """The checkpoint, or None if there is none. A damaged one is deleted with a warning."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="np") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            intact = metadata.get("key") == self.key and metadata.get("sha256") == _digest(
                tensors, metadata.get("state", "")
            )
        except (SafetensorError, OSError, ValueError):
            intact = False
        if not intact:
            log.warning("the checkpoint %s is damaged: deleted, training starts over", self.path)
            self.path.unlink()
            return None
        return Checkpoint(tensors, json.loads(metadata["state"]))

    def clear(self) -> None:
        """Delete the training's checkpoints: other settings' too, and what a killed process left."""
        for path in self.folder.glob(f".checkpoint-{self.name}-*"):
            path.unlink(missing_ok=True)
        remove_unfinished(self.folder, f".checkpoint-{self.name}-*")


class CheckpointInterval:
    """When to save a checkpoint, so that saving takes little of a training's time.

    After an epoch, at least a minute after the one before, and unless that would cost more than two per
    cent of the time; within long epochs every ten minutes.
    """

    _MOST = 0.02  # fraction of the training's time
    _SHORTEST, _LONGEST = 60, 600  # seconds

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()
        self._cost = 0.0  # seconds that the last one took
        self._written, self._spent = 0, 0.0

    def due_after_epoch(self) -> bool:
        return time.monotonic() - self._last >= max(self._SHORTEST, self._cost / self._MOST)

    def due_within_epoch(self) -> bool:
        return time.monotonic() - self._last >= max(self._LONGEST, self._cost / self._MOST)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measures what saving a checkpoint costs; wrap all of it."""
        start = time.monotonic()
        yield
        self._last = time.monotonic()
        self._cost = self._last - start
        self._written, self._spent = self._written + 1, self._spent + self._cost

    def __str__(self) -> str:
        fraction = self._spent / max(time.monotonic() - self._start, 1e-9)
        return f"{self._written} written in {self._spent:.2f} s, {100 * fraction:.1f} % of the time"


def _digest(tensors: Tensors, state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name], order="C")
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.data if tensor.ndim else tensor.tobytes())
    return digest.hexdigest()
