"""The profiles: their options exist in Snakemake and its plugins, their rules in the workflow."""

import importlib.util
import re

import pytest
import yaml
from snakemake.cli import get_argument_parser
from support import ROOT
from tiny import TINY

PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))
# The values that a user is asked to set to the site's are marked by their number.
MOST_TO_EDIT = 5


def profile(name: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


@pytest.mark.parametrize("name", PROFILES)
def test_a_profiles_options_exist(name):
    if executor := profile(name).get("executor"):
        assert importlib.util.find_spec(f"snakemake_executor_plugin_{executor}")
    actions = get_argument_parser()._actions
    options = {option: action for action in actions for option in action.option_strings}
    for key, value in profile(name).items():
        choices = options[f"--{key}"].choices
        values = value if isinstance(value, list) else [value]
        assert not choices or set(values) <= set(choices), key


def test_the_rules_of_profiles_are_those_that_use_a_gpu(workplace, plan):
    _, output = plan(workplace, "--list-rules")
    gpu_rules = {
        rule
        for rule in output.splitlines()
        if re.fullmatch("(train|measure|pretrain_weights)_(pytorch|tensorflow)", rule)
    }
    assert len(gpu_rules) == 6
    slurm = profile("slurm")
    assert set(slurm["set-threads"]) == gpu_rules
    assert {rule for rule, needs in slurm["set-resources"].items() if needs["gpu"]} == gpu_rules
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    assert rules.count("gpu=1,") == len(gpu_rules) / 2  # each of these makes both rules


def test_every_job_on_a_gpu_is_told_how_many_may_share_it(workplace, plan):
    overlay = {**TINY, "training": {**TINY["training"], "jobs_per_gpu": 4}}
    status, output = plan(workplace, "--dry-run", "--printshellcmds", overlay=overlay)
    assert status == 0, output
    names = r"(train|pretrain_weights|measure_parity)\.py .*--threads"
    commands = [line for line in output.splitlines() if re.search(names, line)]
    assert len(commands) == 8  # four runs, two of pretrained weights, and two measurements
    assert all(" --jobs-per-gpu 4 " in line for line in commands)


def test_no_more_than_five_values_are_to_be_edited():
    text = (ROOT / "profiles" / "slurm" / "config.yaml").read_text()
    numbers = [int(number) for number in re.findall(r"# (\d)\. ", text)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 1 <= len(numbers) <= MOST_TO_EDIT
