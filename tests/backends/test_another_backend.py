"""A backend is added by new files alone: it conforms, and a config block brings it into the study."""

import shutil
import subprocess
import sys

import pytest
from support import ROOT
from tiny import TINY, copy_project

ADDED = ROOT / "tests" / "another_backend"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, with the files of the NumPy backend beside its own."""
    place = copy_project(tmp_path_factory.mktemp("project"))
    for path in ADDED.rglob("*"):
        target = place.folder / path.relative_to(ADDED)
        assert path.is_dir() or not target.exists(), f"{target} would be changed"
    shutil.copytree(ADDED, place.folder, dirs_exist_ok=True)
    return place


def test_another_backend_conforms(project):
    for name in ("tests", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, project.folder / name)
    arguments = ["-q", "-rA", "-p", "no:cacheprovider", "-k", "numpy_only"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "tests/backends/test_conformance.py"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-5000:]
    assert result.stdout.count("\nPASSED ") == 6


def test_a_config_block_brings_another_backend_into_the_study(project):
    run = {"framework": "numpy_only", "model": "alexnet32", "weights": "none"}
    # NumPy cannot build the networks of the pretrained runs.
    runs = {"pytorch-pretrained": None, "tensorflow-pretrained": None, "numpy-scratch": run}
    result = project.snakemake("--dry-run", overlay=TINY | {"runs": runs})
    assert result.returncode == 0, result.stdout[-3000:]
    jobs = dict(line.split() for line in result.stdout.splitlines() if len(line.split()) == 2)
    for framework in ("numpy_only", "pytorch", "tensorflow"):
        assert jobs[f"train_{framework}"] == jobs[f"measure_{framework}"] == "1", framework
