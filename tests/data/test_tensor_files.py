"""Files of tensors: read back exactly, and refused if a single bit of them is another."""

import numpy as np
import pytest
from twinbench import tensor_files
from twinbench.errors import InputError

TENSORS = {
    "images": np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3),
    "labels": np.array([3, 1]),
    "conv/kernel": np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2),
    "none": np.zeros((0, 4), np.float32),
}
FACTS = {"class_names": ["cat", "perro Ñ"], "mean": [0.1, 1 / 3]}


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
