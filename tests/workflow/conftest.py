"""Real Snakemake in a folder of its own."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support import ROOT
from tiny import TINY


@dataclass(frozen=True)
class Workplace:
    """A working directory with the config, from which the workflow is called as a user would."""

    folder: Path

    def snakemake(self, *arguments: str, overlay: dict | None = None):
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--workflow-profile", str(ROOT / "profiles" / "default"), "--cores", "2"]
        if overlay is not None:
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
            command += ["--configfile", "overlay.yaml"]
        return subprocess.run(
            [*command, *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )


def workplace_in(folder: Path) -> Workplace:
    shutil.copytree(ROOT / "config", folder / "config")
    return Workplace(folder)


@pytest.fixture
def workplace(tmp_path) -> Workplace:
    return workplace_in(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workplace:
    """The tiny study, run to its end once for all tests that look at it."""
    place = workplace_in(tmp_path_factory.mktemp("finished"))
    result = place.snakemake(overlay=TINY)
    assert result.returncode == 0, result.stderr[-5000:]
    return place
