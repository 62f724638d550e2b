"""Another workflow takes this one as a module, from a folder or from a repository elsewhere."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from support import ROOT
from tiny import TINY

PARTS = ("Snakefile", "workflow", "envs", "config")
FOLDER = repr(str(ROOT / "Snakefile"))
REPOSITORY = 'github("someone/twinbench", path="Snakefile", tag="v1")'
OUTER = """\
configfile: "study.yaml"

module twinbench:
    snakefile: {source}
    config: config

use rule * from twinbench as twinbench_*

rule describe_images:
    default_target: True
    input:
        rules.twinbench_build_tensors.output.statistics,
    output:
        "description.json",
    shell:
        "cp {{input}} {{output}}"

rule the_whole_study:
    input:
        rules.twinbench_write_report.output,
"""


@pytest.fixture
def outer(tmp_path):
    """Calls Snakemake on the outer workflow that takes the module from a source."""
    environment = dict(os.environ) | _hosting(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(_study()))

    def snakemake(source: str, *arguments: str):
        (tmp_path / "Snakefile").write_text(OUTER.format(source=source))
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return snakemake


@pytest.mark.parametrize("source", [FOLDER, REPOSITORY], ids=["folder", "repository"])
def test_an_outer_workflow_builds_on_a_rule_of_the_module(outer, tmp_path, source):
    result = outer(source)
    assert result.returncode == 0, result.stderr
    assert "mean" in (tmp_path / "description.json").read_text()
    again = outer(source)
    assert "Nothing to be done" in again.stderr + again.stdout


@pytest.mark.parametrize("source", [FOLDER, REPOSITORY], ids=["folder", "repository"])
def test_an_outer_workflow_plans_the_whole_study(outer, source):
    result = outer(source, "--dry-run", "the_whole_study")
    assert result.returncode == 0, result.stderr
    for rule in ("train_pytorch", "train_tensorflow", "evaluate_runs", "write_report"):
        assert f"twinbench_{rule} " in result.stdout + result.stderr


def _study() -> dict:
    """The tiny study in one file: a module gets its config from the outer workflow alone."""
    default = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    runs = {run: default["runs"][run] | TINY["runs"].get(run, {}) for run in default["runs"]}
    return default | TINY | {"runs": runs, "report": {"reference": None}}


def _hosting(folder) -> dict[str, str]:
    """A repository of the project, and variables by which git finds it for the hosted one."""
    repository = folder / "hosted"
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (repository / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, repository / name)
    shutil.rmtree(repository / "workflow" / "scripts" / "__pycache__", ignore_errors=True)
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"], ["tag", "v1"]):
        subprocess.run(["git", *author, *arguments], cwd=repository, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/someone/twinbench",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
