"""Real Snakemake in copies of the project.

Studies come in two kinds. `finished` is trained for real, with narrow networks, and slow. `recorded` is
run by Snakemake with a stand-in for `python`: enough to ask what an edit reruns.
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import forked
import pytest
from helpers import STAND_IN
from support import write_program
from tiny import ARCHIVE, FETCHED, TINY, Workplace, copy_narrow_project, copy_project, search_path

# Its sitecustomize.py writes down what jobs import.
RECORDING = Path(__file__).parent / "recording"


@pytest.fixture
def workplace(tmp_path) -> Workplace:
    return copy_project(tmp_path / "project")


@pytest.fixture
def narrow_workplace(tmp_path) -> Workplace:
    return copy_narrow_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workplace:
    """The tiny study, run to its end. Tests leave it as it is."""

    def make(folder: Path) -> None:
        place = replace(copy_narrow_project(folder), variables={"PYTHONPATH": str(RECORDING)})
        result = place.snakemake(overlay=TINY)
        assert result.returncode == 0, result.stdout[-5000:]

    return Workplace(_made_once(tmp_path_factory, "finished", make))


@pytest.fixture(scope="session")
def stand_in_variables(tmp_path_factory) -> dict[str, str]:
    """Variables by which jobs find the stand-in for `python`."""
    program = tmp_path_factory.mktemp("programs") / "python"
    folder = write_program(program, f'#!/bin/sh\nexec {STAND_IN} "$@"\n')
    return {"PATH": search_path(folder)}


@pytest.fixture
def quick_workplace(workplace, stand_in_variables) -> Workplace:
    """A copy of the project, with own.tar.gz, whose jobs run the stand-in for `python`."""
    (workplace.folder / "own.tar.gz").write_bytes(ARCHIVE)
    return replace(workplace, variables=stand_in_variables)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory, stand_in_variables) -> Workplace:
    """Both studies of `tiny`, run by Snakemake with the stand-in. Tests leave them as they are."""

    def make(folder: Path) -> None:
        place = replace(copy_project(folder), variables=stand_in_variables)
        (folder / "own.tar.gz").write_bytes(ARCHIVE)
        for overlay in (TINY, FETCHED):
            result = place.snakemake(overlay=overlay)
            assert result.returncode == 0, result.stdout[-5000:]

    return Workplace(_made_once(tmp_path_factory, "recorded", make), stand_in_variables)


@pytest.fixture
def project(recorded, tmp_path) -> Workplace:
    """A copy of the recorded studies to edit, in another folder: as a project that was moved."""
    shutil.copytree(recorded.folder, tmp_path / "project", symlinks=True)
    return replace(recorded, folder=tmp_path / "project")


@pytest.fixture
def plan():
    """Snakemake's exit status and output, for calls that run no jobs."""

    def call(place: Workplace, *arguments: str, overlay: dict | None = None) -> tuple[int, str]:
        return forked.snakemake(
            place.folder, place.arguments(*arguments, overlay=overlay), place.variables
        )

    return call


def _made_once(tmp_path_factory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first of pytest-xdist's processes to ask for it makes for all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            (folder / "made").touch()
    return folder
