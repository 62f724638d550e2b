"""A backend's job runs with the interpreter of its own environment, where there is one."""

import site
import subprocess
import sys
import venv

import pytest
from support import SCRIPTS
from twinbench import environment
from twinbench.sources import imported_files

OPTIONS = {
    "train.py": "framework=",
    "measure_parity.py": "--backend=",
    "pretrain_weights.py": "--backend=",
    "import_weights.py": "--backend=",
}
# Stands in for the interpreter of a backend's own environment.
RECORDER = """#!/bin/sh
echo $$ > "$TO/process"
printf '%s\\0' "$@" > "$TO/arguments"
echo "$LD_LIBRARY_PATH" > "$TO/libraries"
exit 7
"""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An environment with this one's libraries, and within it a pretended one of TensorFlow's own."""
    prefix = tmp_path_factory.mktemp("environment")
    venv.create(prefix)
    (packages,) = prefix.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    own = prefix / "tensorflow" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text(RECORDER)
    own.chmod(0o755)
    return prefix


@pytest.fixture
def start(prefix, tmp_path):
    """Runs a script in the environment; returns its exit status, its process identifier, and what the
    pretended interpreter recorded of both its process and its arguments, if it was started."""

    def run(*command: str, **variables: str):
        process = subprocess.Popen(
            [prefix / "bin" / "python", *command],
            env={"TO": str(tmp_path), "PATH": "/nowhere", **variables},
            stderr=subprocess.DEVNULL,
        )
        process.communicate(timeout=60)
        if not (tmp_path / "process").exists():
            return process.returncode, process.pid, None, None
        arguments = (tmp_path / "arguments").read_text(encoding="utf-8").split("\0")[:-1]
        return process.returncode, process.pid, int((tmp_path / "process").read_text()), arguments

    return run


@pytest.mark.parametrize("script", OPTIONS)
def test_tensorflow_runs_in_its_own_environment(start, script):
    command = [str(SCRIPTS / script), f"{OPTIONS[script]}tensorflow", "--seed", "1"]
    status, process, own_process, arguments = start(*command)
    assert (status, own_process, arguments) == (7, process, command)


def test_its_own_cuda_libraries_come_before_those_of_a_module(start, prefix, tmp_path):
    own = prefix / "tensorflow" / "lib" / "python3.11" / "site-packages" / "nvidia" / "x" / "lib"
    own.mkdir(parents=True, exist_ok=True)
    command = (str(SCRIPTS / "train.py"), "framework=tensorflow")
    start(*command, LD_LIBRARY_PATH="/opt/cuda/lib")
    assert (tmp_path / "libraries").read_text() == f"{own}:/opt/cuda/lib\n"
    start(*command)
    assert (tmp_path / "libraries").read_text() == "\n"


@pytest.mark.parametrize("script", OPTIONS)
def test_pytorch_stays_where_it_is(start, script):
    status, _, own_process, _ = start(str(SCRIPTS / script), f"{OPTIONS[script]}pytorch")
    assert (status, own_process) == (2, None)  # which is the script's word on missing arguments


def test_arguments_and_the_interpreters_own_options_are_kept(start):
    command = [
        *("-X", "utf8", str(SCRIPTS / "train.py"), "framework=tensorflow", "--history"),
        *("with space/Übung.csv", "quotes\"'`$HOME", "", "*", "line\nline"),
    ]
    assert start(*command)[-1] == command


@pytest.mark.parametrize("words", [["--backend"], ["--backend", ""], ["--backend=."], []])
def test_an_argument_that_names_no_backend_starts_nothing(monkeypatch, prefix, words):
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "argv", ["script.py", *words])
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("the interpreter was started again"))
    environment.enter("--backend")


def test_the_option_may_stand_apart_from_its_value(start):
    command = [str(SCRIPTS / "import_weights.py"), "--backend", "tensorflow"]
    assert start(*command)[-1] == command


@pytest.mark.parametrize("script", OPTIONS)
def test_it_is_a_part_of_the_scripts_code(script):
    files = imported_files(SCRIPTS / script)
    assert SCRIPTS / "twinbench" / "environment.py" in files
