"""Checkpoints of a training: written atomically, verified, and found only by the same training.

A checkpoint lies beside the outputs of its run but is not one of them, since Snakemake deletes
outputs when a job starts again. Its name holds a hash of all that determines the result, and its
metadata say what that is, so that a training knows its own, and what differs in another.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from twinbench import tensor_files
from twinbench.errors import InputError
from twinbench.files import remove_unfinished
from twinbench.training import recorded

log = logging.getLogger(__name__)

Tensors = dict[str, np.ndarray]
Facts = dict[str, Any]
_DIGITS = 16  # of the key in a file's name
_MOST_LISTED, _LONGEST_SHOWN = 5, 60  # differences in a message, and characters of a value


@dataclass(frozen=True)
class Checkpoint:
    """`tensors` by name, and `state`, anything that JSON holds."""

    tensors: Tensors
    state: dict


@dataclass(frozen=True)
class Parts:
    """What a training's result depends on, by name, as JSON holds it.

    It is the same experiment where `experiment` and `code`, checksums by file, are the same.
    `conditions` then decide no more than its last bits.
    """

    experiment: Facts = field(default_factory=dict)
    code: Facts = field(default_factory=dict)
    conditions: Facts = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A hash of all of them, hexadecimal."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def other_experiment(self, then: "Parts") -> list[str]:
        """Where the experiment of `then` is another one, in words."""
        files = [name for name, _, _ in _differing(then.code, self.code)]
        code = [f"code: {_listed(files)}"] if files else []
        return _in_words(then.experiment, self.experiment) + code

    def other_conditions(self, then: "Parts") -> list[str]:
        """Where the conditions of `then` are others, in words."""
        return _in_words(then.conditions, self.conditions)


@dataclass(frozen=True)
class _Record:
    """What a checkpoint says beside its tensors."""

    state: dict
    parts: Parts
    resumed_inexactly: list[str]

    @classmethod
    def of(cls, facts: Any) -> "_Record":
        """Raises `ValueError` or `TypeError` if the facts are none."""
        record = TypeAdapter(cls).validate_python(facts)
        _ = record.progress
        return record

    @property
    def progress(self) -> tuple[int, int]:
        """Epochs and steps, of which the most advanced checkpoint has most."""
        return len(self.state.get("history", ())), self.state.get("step", 0)


@dataclass
class CheckpointStore:
    """The checkpoints of the training `name` in `folder`; it writes one. `parts` are all that the
    training's result depends on.

    A checkpoint of the same experiment under other conditions counts too, unless `exact`.
    `resumed_inexactly` then says which conditions differed, since the training began.
    """

    folder: Path
    name: str
    parts: Parts = field(default_factory=Parts)
    exact: bool = False
    path: Path = field(init=False)
    resumed_inexactly: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.path = self._path(self.parts.key)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint. The old one stays whole until the new one is."""
        record = _Record(checkpoint.state, self.parts, self.resumed_inexactly)
        try:
            tensor_files.write(self.path, checkpoint.tensors, asdict(record))
        except OSError as error:
            raise InputError(
                f"{self.path}: the checkpoint could not be written ({error.strerror}); "
                "make room or set permissions, then start again: the one before it is untouched"
            ) from error

    def load(self) -> Checkpoint | None:
        """The most advanced checkpoint, or None if there is none.

        A damaged one is deleted with a warning. Where one is passed over, a line says why.
        """
        records = {path: record for path in self._paths() if (record := self._record(path))}
        objections = {path: self._objection(record) for path, record in records.items()}
        usable = [path for path in records if not objections[path]]
        for path, objection in objections.items():
            if objection:
                then = "" if usable else ", training starts over"
                log.warning("the checkpoint %s is passed over%s: %s", path.name, then, objection)
        # Of equally advanced ones that of the same conditions.
        usable.sort(key=lambda path: (records[path].progress, path == self.path), reverse=True)
        for path in usable:
            try:
                tensors, _ = tensor_files.read(path)
            except InputError:
                _delete_damaged(path)
                continue
            self._note_conditions(records[path])
            return Checkpoint(tensors, records[path].state)
        return None

    def _objection(self, record: _Record) -> str:
        """Why the training cannot go on from a checkpoint; empty if it can."""
        if differences := self.parts.other_experiment(record.parts):
            return _listed(differences)
        inexact = record.resumed_inexactly + self.parts.other_conditions(record.parts)
        if self.exact and inexact:
            return (
                f"training.resume is exact, and it is not the same bit for bit ({_listed(inexact)})"
            )
        return ""

    def _note_conditions(self, record: _Record) -> None:
        new = self.parts.other_conditions(record.parts)
        self.resumed_inexactly = record.resumed_inexactly + new
        if self.resumed_inexactly:
            log.warning(
                "resumed under other conditions (%s): the result will not be the same bit for bit; "
                "training.resume: exact starts over instead",
                _listed(self.resumed_inexactly),
            )

    def _record(self, path: Path) -> _Record | None:
        """What a checkpoint says; one without it, or with another's name, is damaged and deleted.

        Not so one that cannot be read now, for lack of permission or of a disk: that ends the training.
        """
        try:
            record = _Record.of(tensor_files.read_facts(path))
        except (InputError, ValueError, TypeError):
            record = None
        if record and path == self._path(record.parts.key):
            return record
        _delete_damaged(path)
        return None

    def _path(self, key: str) -> Path:
        return self.folder / f".checkpoint-{self.name}-{key[:_DIGITS]}.safetensors"

    def _paths(self) -> list[Path]:
        """The training's checkpoints, under whatever settings and conditions."""
        return sorted(
            self.folder.glob(self._path("").name.replace("-.", f"-{'[0-9a-f]' * _DIGITS}."))
        )

    def clear(self) -> None:
        """Delete all checkpoints of this name, other settings' too, and what a killed process left."""
        for path in self._paths():
            path.unlink(missing_ok=True)
        remove_unfinished(self.folder, f".checkpoint-{self.name}-*")


def _delete_damaged(path: Path) -> None:
    log.warning("the checkpoint %s is damaged: deleted, training does without it", path)
    path.unlink(missing_ok=True)


def _differing(then: Facts, now: Facts) -> list[tuple[str, Any, Any]]:
    names = sorted(then.keys() | now.keys())
    values = [(name, then.get(name), now.get(name)) for name in names]
    return [(name, before, after) for name, before, after in values if before != after]


def _in_words(then: Facts, now: Facts) -> list[str]:
    return [
        f"{name}: {recorded.CHANGED.format(before=_shown(before), after=_shown(after))}"
        for name, before, after in _differing(then, now)
    ]


def _shown(value: Any) -> str:
    """A value as YAML would have it, checksums and other long ones cut short."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:8]}..."


def _listed(items: list[str]) -> str:
    more = len(items) - _MOST_LISTED
    return ", ".join(items[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


class CheckpointInterval:
    """When to save a checkpoint, so that saving takes little of a training's time.

    After an epoch, at least a minute after the one before, and unless that would cost more than two per
    cent of the time; within long epochs every ten minutes.
    """

    _MOST = 0.02  # fraction of the training's time
    _SHORTEST, _LONGEST = 60, 600  # seconds

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._cost = 0.0  # seconds that the last one took

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
