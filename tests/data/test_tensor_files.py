"""Files of tensors: read back exactly, and refused if a single bit of them is another."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import SCRIPTS, make_job, training_arguments
from twinbench import tensor_files
from twinbench.errors import InputError
from twinbench.networks import weights
from twinbench.networks.architectures import ARCHITECTURES

TENSORS = {
    "images": np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3),
    "labels": np.array([3, 1]),
    "conv/kernel": np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2),
    "none": np.zeros((0, 4), np.float32),
}
FACTS = {"class_names": ["cat", "perro Ñ"], "mean": [0.1, 1 / 3]}


def damage(path: Path, position: float) -> None:
    """Flip a bit at a fraction of the file's length; its date stays."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[min(int(position * len(content)), len(content) - 1)] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_tensors_and_facts_come_back_exactly(tmp_path):
    tensor_files.write(tmp_path / "file", TENSORS, FACTS)
    tensors, facts = tensor_files.read(tmp_path / "file")
    assert facts == FACTS and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert np.array_equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype


def test_arrays_in_any_order_of_memory_are_written(tmp_path):
    tensor_files.write(tmp_path / "file", {"a": TENSORS["conv/kernel"].T}, {})
    tensors, _ = tensor_files.read(tmp_path / "file")
    assert np.array_equal(tensors["a"], TENSORS["conv/kernel"].T)


@pytest.mark.parametrize("bit", [1, 16, 128])
def test_no_byte_can_be_another_unnoticed(tmp_path, bit):
    tensor_files.write(tmp_path / "file", TENSORS, FACTS)
    content = (tmp_path / "file").read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= bit
        (tmp_path / "file").write_bytes(changed)
        with pytest.raises(InputError, match="delete it and start again") as error:
            tensor_files.read(tmp_path / "file")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_shortened_file_is_refused(tmp_path, length):
    tensor_files.write(tmp_path / "file", TENSORS, FACTS)
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content[:length])
    with pytest.raises(InputError, match="file: damaged"):
        tensor_files.read(tmp_path / "file")


@pytest.fixture
def train(tmp_path):
    """Calls `train.py` after a change of one of its input files, and returns how it ended."""
    path = tmp_path / "weights.safetensors"
    weights.write(path, {"conv/kernel": np.zeros((3, 3, 3, 8))})
    arguments = training_arguments(make_job(ARCHITECTURES["alexnet32"]), "pytorch", tmp_path)

    def call(name: str, change) -> subprocess.CompletedProcess[str]:
        change(tmp_path / f"{name}.safetensors")
        command = [sys.executable, SCRIPTS / "train.py", *arguments, "--weights", path]
        return subprocess.run(command, capture_output=True, text=True)

    return call


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("train", lambda path: damage(path, 0.1)),
        ("train", lambda path: damage(path, 0.5)),
        ("validation", lambda path: damage(path, 1)),
        ("test", lambda path: path.write_bytes(path.read_bytes()[:-100])),
        ("weights", lambda path: damage(path, 0.5)),
    ],
)
def test_training_does_not_start_on_damaged_files(train, tmp_path, name, change):
    result = train(name, change)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"{name}.safetensors" in line and "damaged" in line
    assert not list(tmp_path.glob("history.csv")) + list(tmp_path.glob("model.*"))
