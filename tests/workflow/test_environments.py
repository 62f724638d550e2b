"""The environments: the lock's versions, all that their scripts import, the recipe of their images."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from support import ROOT, SCRIPTS, write_program
from twinbench.sources import imported_files

ENVIRONMENTS = ("pytorch", "tensorflow", "analysis")
RECIPE = (ROOT / "envs" / "Containerfile").read_text()
# What a script imports of its backend by name, at run time. The others need the analysis alone.
BY_NAME = {
    "train": ["backend", "accelerator"],
    "measure_parity": ["parity", "accelerator"],
    "pretrain_weights": ["backend", "weights"],
    "import_weights": ["weights"],
}
# Import names that differ from their distributions' names.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "pydantic_core": "pydantic",  # which pins it
    "yaml": "pyyaml",
    "markdown_it": "markdown-it-py",
}


def pinned(environment: str) -> list[Requirement]:
    """What an environment file has pip install."""
    content = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())
    (pip,) = [part["pip"] for part in content["dependencies"] if isinstance(part, dict)]
    return [Requirement(line) for line in pip]


def of_file(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "envs" / name).read_text(), re.M))


LOCK = of_file("requirements.lock")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_versions_are_the_locks(environment):
    pins = {pin.name: str(pin.specifier) for pin in pinned(environment)}
    assert pins == {name: f"=={LOCK[name]}" for name in pins}
    assert "pydantic" in pins  # a part of every script


def test_direct_dependencies_are_locked_at_their_versions():
    assert of_file("requirements.in").items() <= LOCK.items()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_has_what_its_scripts_import_and_no_more(environment):
    scripts = {path.stem for path in SCRIPTS.glob("*.py")}
    imported = set()
    for name in BY_NAME if environment != "analysis" else scripts - set(BY_NAME):
        modules = [f"twinbench.backends.{environment}.{m}" for m in BY_NAME.get(name, [])]
        for path in imported_files(SCRIPTS / f"{name}.py", *modules):
            imported |= libraries(path)
    assert {DISTRIBUTIONS.get(name, name) for name in imported} == {
        pin.name for pin in pinned(environment) if "-cu12" not in pin.name
    }


def libraries(path: Path) -> set[str]:
    """The libraries that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"twinbench"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("cuda", ["yes", "no"])
def test_an_image_has_what_its_environment_file_names(environment, cuda, tmp_path):
    """By the recipe's own commands; without CUDA the libraries for it are left out."""
    commands = re.findall(r"^ +((?:sed|if) .*)", RECIPE, re.M)
    recipe = "\n".join(command.removesuffix("\\") for command in commands)
    for folder, here in (("/tmp/envs/requirements.txt", "list.txt"), ("/tmp/envs", ROOT / "envs")):
        recipe = recipe.replace(folder, str(here))
    variables = {"ENVIRONMENT": environment, "CUDA": cuda, "PATH": "/usr/bin:/bin"}
    subprocess.run(["sh", "-euc", recipe], cwd=tmp_path, env=variables, check=True)
    installed = [Requirement(line) for line in (tmp_path / "list.txt").read_text().splitlines()]
    wanted = [pin for pin in pinned(environment) if cuda == "yes" or "nvidia" not in pin.name]
    assert installed and installed == wanted


def test_an_image_takes_the_locks_versions_and_leaves_root():
    assert "--constraint /tmp/envs/requirements.lock" in RECIPE
    assert "venv --without-pip /opt/environment" in RECIPE  # pip is not in the lock
    assert re.findall(r"^USER (\S+)", RECIPE, re.M) == ["1000"]


@pytest.mark.parametrize("there", [True, False])
def test_a_base_may_have_the_user_already(there, tmp_path):
    """By the recipe's own command, with programs that stand for a base's."""
    programs = {"getent": f"exit {0 if there else 2}", "useradd": "echo made"}
    for name, command in programs.items():
        write_program(tmp_path / name, f"#!/bin/sh\n{command}\n")
    (command,) = re.findall(r"^RUN (getent .*)", RECIPE, re.M)
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": str(tmp_path)}, check=True, stdout=subprocess.PIPE
    )
    assert done.stdout == (b"" if there else b"made\n")


def test_the_cuda_libraries_are_those_that_tensorflow_asks_for():
    pins = {pin.name: pin for pin in pinned("tensorflow") if "-cu12" in pin.name}
    wanted = of_extra("tensorflow", "and-cuda")
    assert {requirement.name for requirement in wanted} == set(pins)
    for requirement in wanted:
        (pin,) = pins[requirement.name].specifier
        assert requirement.specifier.contains(pin.version), requirement


def of_extra(distribution: str, extra: str) -> list[Requirement]:
    """What an extra of an installed distribution adds to its requirements."""
    return [
        requirement
        for requirement in map(Requirement, requires(distribution))
        if requirement.marker
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    ]


def test_tensorflows_own_environment_is_that_of_its_environment_file():
    """`make .venv` makes it with a GPU, versions by the lock; conda and containers have the file."""
    lines = (ROOT / "envs" / "requirements-tensorflow.in").read_text().splitlines()
    named = [Requirement(line.partition("#")[0]) for line in lines if line[0] not in "#-"]
    extras = [of_extra(each.name, extra) for each in named for extra in each.extras]
    installed = {each.name for each in sum(extras, named)}
    assert installed - {"pyyaml", "scipy"} == {pin.name for pin in pinned("tensorflow")}


@pytest.fixture
def made(tmp_path):
    """What `make .venv` would do in a fresh clone, with a pretended driver or without."""
    driver = tmp_path / "bin" / "nvidia-smi"
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "envs", tmp_path / "envs")

    def dry_run(*variables: str, with_driver: bool) -> str:
        if with_driver:
            write_program(driver, "#!/bin/sh\n")
        path = f"{driver.parent}:/usr/bin:/bin"  # and no variable of the `make` that runs the tests
        return subprocess.run(
            ["make", "--dry-run", *variables, ".venv"],
            cwd=tmp_path,
            env={"PATH": path},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    return dry_run


OWN = ".venv/tensorflow/bin/pip install"
HAS_DRIVER = bool(shutil.which("nvidia-smi")) or Path("/proc/driver/nvidia/version").exists()


def test_with_a_driver_tensorflow_gets_its_own_environment(made):
    commands = made(with_driver=True)
    both = (commands.index(".venv/bin/pip install"), commands.index(OWN))
    assert both == tuple(sorted(both))  # since making .venv empties it
    assert "requirements-tensorflow.in --constraint envs/requirements.lock" in commands


@pytest.mark.skipif(HAS_DRIVER, reason="this machine has an NVIDIA driver")
def test_without_a_driver_it_does_not(made):
    commands = made(with_driver=False)
    assert OWN not in commands and "GPU=yes" in commands


def test_the_gpu_variable_decides_otherwise(made):
    assert OWN in made("GPU=yes", with_driver=False)
    assert OWN not in made("GPU=no", with_driver=True)


def test_every_rule_has_the_image_of_its_environment():
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = path.read_text()
        environments = re.findall(r'conda:\s+f?"../../envs/\{?(\w+)\}?\.yaml"', text)
        images = re.findall(r'container:\s+image\("?(\w+)"?\)', text)
        assert environments == images, path.name
        assert len(images) == len(re.findall(r"^ *shell:", text, re.M)), path.name
