"""Which files of this package a script runs on, found from its imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twinbench.files import checksum


@cache
def imported_files(script: Path, *modules: str) -> tuple[Path, ...]:
    """The script, `modules` that it imports by name at run time, and all files of this package that
    these import, directly or not, sorted.

    Imports inside functions count; relative ones are not used here. Nothing is run.
    """
    found: set[Path] = set()
    waiting = [script, *(file for module in modules for file in _files(script.parent, module))]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [
                each for name in _imported_names(file) for each in _files(script.parent, name)
            ]
    return tuple(sorted(found))


def _files(folder: Path, name: str) -> Iterator[Path]:
    """The files of a module `a.b.c` in a folder, and of the packages around it; none of a library's."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        path = folder.joinpath(*parts[:length])
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                yield file


@cache
def _imported_names(file: Path) -> tuple[str, ...]:
    """The dotted names that a file imports. A name in `from a import b` may be a module or not."""
    names = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(names)


def checksums(script: Path, *modules: str) -> dict[str, str]:
    """The SHA-256 of each of the script's `imported_files`, by its path from the script's folder."""
    return {
        str(path.relative_to(script.parent)): checksum(path)
        for path in imported_files(script, *modules)
    }
