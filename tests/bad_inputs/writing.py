"""Files as bytes."""

import tempfile
from collections.abc import Callable
from pathlib import Path


def content(write: Callable, *arguments) -> bytes:
    """What a function that takes a path and arguments writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.npz"
        write(path, *arguments)
        return path.read_bytes()
