"""Which files of this package a script runs on, found from its imports."""

from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

from twinbench.files import checksum


@cache
def imported_files(script: Path) -> tuple[Path, ...]:
    """The script and every file of this package that it imports, directly or not, sorted.

    Imports inside functions count. Nothing is run.
    """
    folder = str(script.parent)
    # With this folder alone to search, the libraries are unknown modules and are not followed.
    finder = ModuleFinder(path=[folder])
    finder.run_script(str(script))
    files = {Path(module.__file__) for module in finder.modules.values() if module.__file__}
    return tuple(sorted(files))


def checksums(script: Path) -> dict[str, str]:
    """The SHA-256 of each of the script's `imported_files`, by its path from the script's folder."""
    return {str(path.relative_to(script.parent)): checksum(path) for path in imported_files(script)}
