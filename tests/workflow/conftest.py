"""Real Snakemake in a copy of the project."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support import ROOT
from tiny import TINY

PROJECT = (
    "Snakefile",
    "README.md",
    ".gitignore",
    "config",
    "envs",
    "profiles",
    "workflow",
    "tests",
)


@dataclass(frozen=True)
class Workplace:
    """A copy of the project, in which the workflow is called as a user would."""

    folder: Path

    def command(self, *arguments: str, overlay: dict | None = None) -> list[str]:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        if overlay is not None:
            text = yaml.safe_dump(overlay, sort_keys=False)
            (self.folder / "overlay.yaml").write_text(text)
            command += ["--configfile", "overlay.yaml"]
        return command

    def snakemake(self, *arguments: str, overlay: dict | None = None):
        command = self.command(*arguments, overlay=overlay)
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def renew(self) -> None:
        """Put the project's files back as they were; results and Snakemake's records stay."""
        self.folder.mkdir(exist_ok=True)
        for name in PROJECT:
            target = self.folder / name
            if target.is_dir():
                shutil.rmtree(target)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, target)


def workplace_in(folder: Path) -> Workplace:
    place = Workplace(folder)
    place.renew()
    return place


@pytest.fixture(scope="session")
def project_in():
    """Makes a copy of the project in a folder."""
    return workplace_in


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
