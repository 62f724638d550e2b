"""The profiles: their options exist in the installed plugins, their rules in the workflow."""

import importlib.util
import re
import subprocess
import sys

import pytest
import yaml
from snakemake.cli import get_argument_parser
from support import ROOT

PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))
RULES = {
    rule
    for path in (ROOT / "workflow" / "rules").glob("*.smk")
    for rule in re.findall(r"^ *rule (\w+):", path.read_text(), re.M)
}
# A loop over the frameworks makes these.
MEASURING = {"measure_pytorch", "measure_tensorflow"}
# The values that a user is told to set to the site's are marked by their number.
MOST_TO_EDIT = 5


def _profile(name: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


def _needs(name: str) -> list[str]:
    """The plugins' packages that a profile needs."""
    profile = _profile(name)
    parts = {
        "executor": profile.get("executor"),
        "storage": profile.get("default-storage-provider"),
    }
    return [f"snakemake_{kind}_plugin_{plugin}" for kind, plugin in parts.items() if plugin]


@pytest.fixture(scope="module")
def options() -> dict:
    """Every option of Snakemake and of the installed plugins, with what argparse knows of it."""
    actions = get_argument_parser()._actions
    return {option: action for action in actions for option in action.option_strings}


@pytest.mark.parametrize("name", PROFILES)
def test_a_profiles_options_exist_in_snakemake_and_the_plugins(options, name):
    for package in _needs(name):
        found = importlib.util.find_spec(package)
        # The plugins of Kubernetes alone are no part of the lock.
        assert found or name == "kubernetes", f"{package} is not installed"
        if found is None:
            pytest.skip(f"{package} is not installed: make test-kubernetes")
    for key, value in _profile(name).items():
        action = options.get(f"--{key}")
        assert action is not None, f"profiles/{name}: there is no option --{key}"
        assert not action.choices or value in action.choices, f"profiles/{name}: {key}"


@pytest.mark.parametrize("name", PROFILES)
def test_a_profiles_rules_exist_in_the_workflow(name):
    profile = _profile(name)
    assert set(profile.get("set-resources", {})) <= RULES | MEASURING
    assert set(profile.get("set-threads", {})) <= RULES | MEASURING


@pytest.mark.parametrize("name", ["default", "gpu", "slurm"])
def test_snakemake_plans_the_study_with_a_profile(tmp_path, name):
    (tmp_path / "config").symlink_to(ROOT / "config")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--profile", str(ROOT / "profiles" / name), "--dry-run", "--cores", "2"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "train_pytorch" in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_no_more_than_five_values_are_to_be_edited(name):
    text = (ROOT / "profiles" / name / "config.yaml").read_text()
    numbers = [int(number) for number in re.findall(r"# (\d)\. ", text)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 1 <= len(numbers) <= MOST_TO_EDIT


def test_every_gpu_rule_gets_a_gpu_and_threads_on_a_cluster():
    gpu_rules = MEASURING | {
        rule
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for rule, body in re.findall(
            r"^rule (\w+):\n(.*?)(?=^rule |\Z)", path.read_text(), re.M | re.S
        )
        if re.search(r"^ +gpu=1,", body, re.M)
    }
    for name in ("slurm", "kubernetes"):
        profile = _profile(name)
        assert set(profile["set-threads"]) == gpu_rules
        assert {rule for rule, r in profile["set-resources"].items() if r.get("gpu")} == gpu_rules
