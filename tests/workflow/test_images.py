"""The image recipe installs what the environment files name, at the lock's versions."""

import re
import subprocess
from importlib.metadata import requires

import pytest
import yaml
from packaging.requirements import Requirement
from support import ROOT

RECIPE = (ROOT / "envs" / "Containerfile").read_text()
ENVIRONMENTS = ("pytorch", "tensorflow", "analysis")
LOCK = dict(
    re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "envs" / "requirements.lock").read_text(), re.M)
)


def _named(environment: str) -> list[str]:
    """What an environment file has pip install."""
    content = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())
    return next(part["pip"] for part in content["dependencies"] if isinstance(part, dict))


def _installed(environment: str, tmp_path, cuda: str) -> list[str]:
    """What the recipe has pip install, by the recipe's own commands."""
    commands = re.findall(r"^ +((?:sed|if) .*)", RECIPE, re.M)
    script = "\n".join(command.removesuffix("\\") for command in commands)
    for folder, here in (("/tmp/envs/requirements.txt", "list.txt"), ("/tmp/envs", ROOT / "envs")):
        script = script.replace(folder, str(here))
    variables = {"ENVIRONMENT": environment, "CUDA": cuda, "PATH": "/usr/bin:/bin"}
    subprocess.run(["sh", "-euc", script], cwd=tmp_path, env=variables, check=True)
    return (tmp_path / "list.txt").read_text().splitlines()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_recipe_installs_what_the_environment_file_names(environment, tmp_path):
    assert _installed(environment, tmp_path, "yes") == _named(environment)
    assert "--constraint /tmp/envs/requirements.lock" in RECIPE


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_without_cuda_the_versions_are_the_locks(environment, tmp_path):
    pins = [Requirement(line) for line in _installed(environment, tmp_path, "no")]
    assert pins
    assert [pin for pin in pins if str(pin.specifier) != f"=={LOCK[pin.name]}"] == []


def test_the_cuda_libraries_are_those_that_tensorflow_asks_for():
    pins = {r.name: r for r in map(Requirement, _named("tensorflow")) if r.name not in LOCK}
    wanted = [r for r in map(Requirement, requires("tensorflow")) if _is_of_extra(r, "and-cuda")]
    assert {requirement.name for requirement in wanted} == set(pins)
    for requirement in wanted:
        (pin,) = pins[requirement.name].specifier
        assert requirement.specifier.contains(pin.version), requirement


def _is_of_extra(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) != marker.evaluate(
        {"extra": ""}
    )


def test_every_rule_has_an_image_that_is_built_from_its_environment():
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = path.read_text()
        environments = re.findall(r'conda:\s+"../../envs/(\w+)\.yaml"', text)
        assert environments == re.findall(r'container:\s+image\("(\w+)"\)', text), path.name


def test_the_recipe_leaves_root():
    assert re.findall(r"^USER (\S+)", RECIPE, re.M) == ["1000"]
