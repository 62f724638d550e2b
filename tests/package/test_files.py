"""A file is there whole or not at all, and a killed process leaves nothing for long."""

import hashlib
import subprocess
import sys

import pytest
from support import SCRIPTS
from twinbench.errors import InputError
from twinbench.files import verify_checksum, written_atomically

KILLED_WHILE_WRITING = """
import os, signal, sys
from twinbench.files import written_atomically
with written_atomically(sys.argv[1]) as temporary:
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


def test_what_a_killed_process_left_is_deleted_when_the_file_is_written_again(tmp_path):
    path, other = tmp_path / "result.csv", tmp_path / ".other.csv.unfinished-1"
    other.mkdir()
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    killed = subprocess.run(command, env={"PYTHONPATH": str(SCRIPTS)}, check=False)
    assert killed.returncode == -9
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 2
    with written_atomically(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert sorted(tmp_path.iterdir()) == [other, path]


@pytest.mark.parametrize(("algorithm", "digits"), [("sha256", 64), ("sha256", 8), ("md5", 32)])
def test_checksums_are_told_apart_by_their_length(tmp_path, algorithm, digits):
    (tmp_path / "file").write_bytes(b"content")
    digest = hashlib.new(algorithm, b"content").hexdigest()[:digits]
    verify_checksum(tmp_path / "file", digest.upper())
    with pytest.raises(InputError, match="origin"):
        verify_checksum(tmp_path / "file", "0" * digits, "origin")
