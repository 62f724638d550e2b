"""Which files of this package a script runs on, found from its imports."""

from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

from twinbench.files import checksum


@cache
def imported_files(script: Path, *modules: str) -> tuple[Path, ...]:
    """The script, `modules` that it imports by name at run time, and all files of this package that
    these import, directly or not, sorted.

    Imports inside functions count. Nothing is run.
    """
    # With this folder alone to search, libraries are unknown modules and are not followed.
    finder = ModuleFinder(path=[str(script.parent)])
    finder.run_script(str(script))
    for module in modules:
        finder.import_hook(module)
    found = (getattr(module, "__file__", None) for module in finder.modules.values())
    return tuple(sorted({Path(file) for file in found if file}))


def checksums(script: Path, *modules: str) -> dict[str, str]:
    """The SHA-256 of each of the script's `imported_files`, by its path from the script's folder."""
    return {
        str(path.relative_to(script.parent)): checksum(path)
        for path in imported_files(script, *modules)
    }
