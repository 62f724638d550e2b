"""A file is there whole or not at all, and a killed process leaves nothing for long."""

import errno
import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import frameworks  # noqa: F401, imports both in the only order that works
import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from matplotlib.figure import Figure
from support import SCRIPTS
from twinbench import files
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


def write_torch(path: Path) -> None:
    with path.open("wb") as file:
        torch.save(torch.tensor(VALUES), file)


VALUES = np.arange(10_000.0)
WRITERS = {
    "text": lambda path: path.write_text("x" * 10_000),
    "safetensors": lambda path: safetensors.numpy.save_file({"values": VALUES}, path),
    "torch": write_torch,
    "keras": lambda path: keras.Sequential([keras.Input((9,)), keras.layers.Dense(999)]).save(path),
    "Parquet": lambda path: pq.write_table(pa.table({"values": VALUES}), path),
    "CSV": lambda path: pd.DataFrame(VALUES).to_csv(path),
    "figure": lambda path: Figure().savefig(path, format="png"),
}


@pytest.mark.parametrize("library", WRITERS)
def test_a_full_disk_is_an_error_that_names_the_file_whatever_library_writes(
    tmp_path, limit_file_size, library
):
    path = tmp_path / "result.keras"
    with (
        limit_file_size(1000),
        pytest.raises(OSError, match=r"result\.keras") as caught,
        written_atomically(path) as temporary,
    ):
        WRITERS[library](temporary)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(PermissionError) as caught, written_atomically(tmp_path / "result"):
        raise PermissionError(errno.EACCES, "Permission denied", "other")
    assert caught.value.filename == "other"


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


def test_a_checksum_may_be_that_of_what_was_packed(tmp_path):
    content = b"images" * 1000
    expected = hashlib.sha256(content).hexdigest()
    for level in (1, 9):  # other bytes of the same content
        path = tmp_path / f"{level}.tar.gz"
        path.write_bytes(gzip.compress(content, level))
        files.verify_checksum(path, expected.upper())
    path.write_bytes(gzip.compress(content + b"another image"))
    with pytest.raises(InputError):
        files.verify_checksum(path, expected)
    path.write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(InputError):
        files.verify_checksum(path, expected)


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LARGEST_CONTENT", 10_000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(3_000_000)))
    assert files.checksum_of_content(path) is None
