"""A third arm is added by new files alone: no file of the project changes, and it conforms."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT
from tiny import TINY

ANOTHER = ROOT / "tests" / "another_arm"
PARTS = ("Snakefile", "pyproject.toml", "config", "envs", "profiles", "tests", "workflow")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, with the files of the NumPy arm laid beside its own."""
    folder = tmp_path_factory.mktemp("project")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    for path in ANOTHER.rglob("*"):
        target = folder / path.relative_to(ANOTHER)
        assert path.is_dir() or not target.exists(), f"{target} would be changed"
    shutil.copytree(ANOTHER, folder, dirs_exist_ok=True)
    return folder


def _run(project: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=project, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_another_arm_conforms(project):
    done = _run(project, "pytest", "-q", "tests/parity/test_conformance.py", "-k", "numpy_only")
    assert done.returncode == 0, done.stdout[-5000:]
    assert "5 passed" in done.stdout


def test_a_config_block_brings_another_arm_into_the_study(project):
    # The NumPy arm has no net for the pretrained runs.
    pretrained = {"pytorch-pretrained": None, "tensorflow-pretrained": None}
    run = {"framework": "numpy_only", "model": "alexnet32", "weights": "none"}
    overlay = TINY | {"runs": pretrained | {"numpy-scratch": run}}
    (project / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    arguments = ("--dry-run", "--cores", "2", "--configfile", "overlay.yaml")
    done = _run(project, "snakemake", *arguments)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    assert "Training numpy-scratch, seed 1" in output
    assert re.search(r"^train_numpy_only +1$", output, re.M)
    for framework in ("numpy_only", "pytorch", "tensorflow"):
        assert re.search(rf"^measure_{framework} +1$", output, re.M), framework
