"""A file is there whole or not at all, and a killed process leaves nothing for long."""

import subprocess
import sys

import pytest
from support import ROOT
from twinbench.files import written_atomically

KILLED_WHILE_WRITING = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from twinbench.files import written_atomically
with written_atomically(sys.argv[2]) as temporary:
    temporary.write_text("half")
    (temporary.parent / ".tmp-of-a-library").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_atomically(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_goes_with_the_next_writing_of_the_file(tmp_path):
    path, other = tmp_path / "result.csv", tmp_path / ".other.csv.unfinished-1"
    other.mkdir()
    command = [sys.executable, "-c", KILLED_WHILE_WRITING]
    killed = subprocess.run([*command, str(ROOT / "workflow" / "scripts"), str(path)], check=False)
    assert killed.returncode == -9
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 2
    with written_atomically(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert sorted(tmp_path.iterdir()) == [other, path]
