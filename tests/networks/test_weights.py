"""Weights files come back exactly; what is refused stands in tests/bad_inputs."""

import h5py
import numpy as np
import pytest
import torch
from support import TINY_RENAMED, body, resizable_weights
from twinbench.backends.pytorch import weights as torchvision_files
from twinbench.backends.tensorflow import weights as keras_files
from twinbench.networks import weights

WEIGHTS = resizable_weights(20)
EACH_FORMAT = pytest.mark.parametrize("library", [torchvision_files, keras_files])


@EACH_FORMAT
def test_a_librarys_file_comes_back_exactly(tmp_path, library):
    library.write_published(tmp_path / "file", TINY_RENAMED, WEIGHTS)
    found = library.read_published(tmp_path / "file", TINY_RENAMED)
    assert found.keys() >= {name for name in WEIGHTS if not name.startswith("head/")}
    for name, value in found.items():
        # torchvision's file has a head for 1000 classes, Keras' none.
        assert np.array_equal(value[..., : WEIGHTS[name].shape[-1]], WEIGHTS[name]), name


@EACH_FORMAT
def test_a_disk_that_is_full_at_any_byte_is_an_error(tmp_path, library, limit_file_size):
    path = tmp_path / "file"
    library.write_published(path, TINY_RENAMED, WEIGHTS)
    size = path.stat().st_size
    for limit in (0, 100, size // 2, size - 100, size - 1):
        path.unlink(missing_ok=True)
        with limit_file_size(limit), pytest.raises(OSError, match=str(path)):
            library.write_published(path, TINY_RENAMED, WEIGHTS)
        assert list(tmp_path.iterdir()) == []


def test_a_librarys_file_has_the_librarys_names(tmp_path):
    torchvision_files.write_published(tmp_path / "file.pth", TINY_RENAMED, WEIGHTS)
    assert "features.0.weight" in torch.load(tmp_path / "file.pth", weights_only=True)
    keras_files.write_published(tmp_path / "file.h5", TINY_RENAMED, WEIGHTS)
    with h5py.File(tmp_path / "file.h5") as file:
        assert "features.0" in file


def test_framework_free_weights_come_back_exactly_and_without_a_head(tmp_path):
    weights.write(tmp_path / "file.safetensors", WEIGHTS)
    found = weights.read(tmp_path / "file.safetensors", TINY_RENAMED)
    assert found.keys() == body(WEIGHTS).keys() < WEIGHTS.keys()
    assert all(np.array_equal(value, WEIGHTS[name]) for name, value in found.items())
