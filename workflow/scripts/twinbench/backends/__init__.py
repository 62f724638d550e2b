"""The backends: what a framework contributes to a training, one folder each. See `backend`."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

# Passes lines on, except those that match its argument.
_FILTER = """\
import re, sys
for line in sys.stdin.buffer:
    if not re.match(sys.argv[1].encode(), line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def model_suffix(backend: str) -> str:
    """The suffix of a backend's model files. No framework is imported."""
    return import_module(f"{__name__}.{backend}").MODEL_SUFFIX


def supported_gpus(backend: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The CUDA compute capabilities that the framework has code for, the oldest and the newest; None for
    any. No framework is imported."""
    return getattr(import_module(f"{__name__}.{backend}"), "SUPPORTED_GPUS", None)


def backend_module(backend: str, name: str = "backend") -> Any:
    """A module of a backend's folder. Only here a framework is imported, without its `NOTICES` and without
    the modules that it would import for functions `NOT_USED` here."""
    package = import_module(f"{__name__}.{backend}")
    notices, modules = getattr(package, "NOTICES", None), getattr(package, "NOT_USED", ())
    with _filtered_stderr(notices), _not_installed(modules):
        return import_module(f"{__name__}.{backend}.{name}")


@contextmanager
def _not_installed(modules: Iterable[str]) -> Iterator[None]:
    """Within the block these modules cannot be imported, unless they already are."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _filtered_stderr(pattern: str | None) -> Iterator[None]:
    """Within the block, lines that begin with the pattern are kept off standard error.

    Another process does it: so a message is still passed on if this process dies of its cause.
    """
    if pattern is None:
        yield
        return
    command = [sys.executable, "-ISc", _FILTER, pattern]
    # Ctrl-C and signals to the group are not for the filter: it ends with its input.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=2, start_new_session=True
    ) as process:
        assert process.stdin
        stderr = os.dup(2)
        os.dup2(process.stdin.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
