"""What every entry file does with faults: one line for those that the user can mend."""

import re
import subprocess
import sys

import pytest
from support import ROOT

PROGRAM = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from twinbench import command
def main(arguments):
    with open(arguments.output, "w") as file:
        file.write("x" * 100_000)
command.run(main, command.parser(None, output=str))
"""


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "workflow/scripts"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_full_disk_is_told_in_one_line(tmp_path):
    result = run("--output", "/dev/full", "--log", str(tmp_path / "log"))
    assert result.returncode == 1
    assert "No space left on device; make room on the disk, then start again" in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "log").read_text() == result.stderr


@pytest.mark.parametrize("argument", ["--output", "--log"])
def test_a_missing_permission_is_told_in_one_line(argument):
    forbidden = "/sys/kernel/uevent_seqnum"  # which not even root may write
    paths = {"--output": "/dev/null", "--log": "/dev/null", argument: forbidden}
    result = run(*(word for pair in paths.items() for word in pair))
    assert result.returncode == 1
    assert re.search(rf"error: .*'{forbidden}'; (set the perm|write to a disk)", result.stderr)
    assert "Traceback" not in result.stderr


def test_any_other_fault_keeps_its_traceback(tmp_path):
    result = run("--output", str(tmp_path))
    assert result.returncode == 1
    assert "please report it" in result.stderr and "Traceback" in result.stderr
