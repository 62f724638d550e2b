"""Another workflow takes this one as a module, from a folder or from a repository elsewhere."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from support import ROOT
from tiny import TINY

PARTS = ("Snakefile", "workflow", "envs", "config")
SOURCES = {
    "folder": repr(str(ROOT / "Snakefile")),
    "repository": 'github("someone/twinbench", path="Snakefile", tag="v1")',
}
OUTER = """\
configfile: "study.yaml"

module twinbench:
    snakefile: {source}
    config: config["twinbench"]

use rule * from twinbench as twinbench_*

rule describe_images:
    default_target: True
    input:
        rules.twinbench_describe_tensors.output,
    output:
        "description.json",
    shell:
        "cp {{input}} {{output}}"

rule the_whole_study:
    input:
        rules.twinbench_write_report.output,
"""


@pytest.fixture
def outer(tmp_path, stand_in_variables):
    """Calls Snakemake on an outer workflow with a config of its own."""
    environment = os.environ | _hosting(tmp_path) | stand_in_variables
    study = yaml.safe_dump({"twinbench": _study(), "samples": {"a": 1}})
    (tmp_path / "study.yaml").write_text(f"{study}1: a key that is no text\n")

    def snakemake(source: str, *arguments: str):
        (tmp_path / "Snakefile").write_text(OUTER.format(source=source))
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return snakemake


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_an_outer_workflow_uses_the_module(outer, tmp_path, source):
    result = outer(source)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "description.json").exists()
    whole = outer(source, "--dry-run", "the_whole_study", "describe_images")
    assert whole.returncode == 0, whole.stderr
    commands = outer(
        source, "--dry-run", "--printshellcmds", "--forceall", "the_whole_study"
    ).stdout
    (given,) = re.findall(r"write_report.py '--given=(.*?)' ", commands)
    assert json.loads(given) == {"files": [], "values": {}, "elsewhere": True}
    for rule in ("train_pytorch", "train_tensorflow", "evaluate_runs", "write_report"):
        assert f"twinbench_{rule} " in whole.stdout + whole.stderr
    for done in ("twinbench_build_tensors", "describe_images"):
        assert f"{done} " not in whole.stdout + whole.stderr


def _study() -> dict:
    """The tiny study in one config: a module gets its config from the outer workflow alone."""
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
    author = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"], ["tag", "v1"]):
        subprocess.run(["git", *author, *arguments], cwd=repository, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/someone/twinbench",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
