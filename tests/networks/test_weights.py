"""Weights files: read whole, and refused in one line when they are not what they should be."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from support import TINY_RESIZABLE
from twinbench.backends.pytorch import weights as torchvision_files
from twinbench.backends.tensorflow import weights as keras_files
from twinbench.errors import InputError
from twinbench.networks import weights
from twinbench.recipe.initial_weights import initial_weights

NETWORK = replace(
    TINY_RESIZABLE,
    published=replace(TINY_RESIZABLE.published, layer_names={"conv1": "features.0"}),
)
WEIGHTS = initial_weights(1, NETWORK.with_head(20), 32, False)
EACH_FORMAT = pytest.mark.parametrize("library", [torchvision_files, keras_files])


def read_refused(read, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@EACH_FORMAT
def test_a_librarys_file_comes_back_exactly(tmp_path, library):
    library.write_published(tmp_path / "file", NETWORK, WEIGHTS)
    found = library.read_published(tmp_path / "file", NETWORK)
    assert found.keys() >= {name for name in WEIGHTS if not name.startswith("head/")}
    for name, value in found.items():
        # torchvision's file has a head for 1000 classes, Keras' none.
        assert np.array_equal(value[..., : WEIGHTS[name].shape[-1]], WEIGHTS[name]), name


@EACH_FORMAT
def test_a_disk_that_is_full_at_any_byte_is_an_error(tmp_path, library, limit_file_size):
    path = tmp_path / "file"
    library.write_published(path, NETWORK, WEIGHTS)
    size = path.stat().st_size
    for limit in (0, 100, size // 2, size - 100, size - 1):
        path.unlink(missing_ok=True)
        with limit_file_size(limit), pytest.raises(OSError, match=str(path)):
            library.write_published(path, NETWORK, WEIGHTS)
        assert list(tmp_path.iterdir()) == []


def test_a_librarys_file_has_the_librarys_names(tmp_path):
    torchvision_files.write_published(tmp_path / "file.pth", NETWORK, WEIGHTS)
    assert "features.0.weight" in torch.load(tmp_path / "file.pth", weights_only=True)
    keras_files.write_published(tmp_path / "file.h5", NETWORK, WEIGHTS)
    with h5py.File(tmp_path / "file.h5") as file:
        assert "features.0" in file


@EACH_FORMAT
def test_a_file_without_a_layer_is_refused(tmp_path, library):
    other = replace(NETWORK, published=replace(NETWORK.published, layer_names={}))
    library.write_published(tmp_path / "file", other, WEIGHTS)
    message = read_refused(library.read_published, tmp_path / "file", NETWORK)
    assert "conv1" in message or "features.0" in message


@EACH_FORMAT
def test_a_file_with_another_shape_is_refused(tmp_path, library):
    *layers, dense = NETWORK.layers
    other = replace(NETWORK, layers=(*layers, replace(dense, units=7)))
    library.write_published(
        tmp_path / "file", other, initial_weights(1, other.with_head(20), 32, False)
    )
    read_refused(library.read_published, tmp_path / "file", NETWORK)


@EACH_FORMAT
def test_weights_that_are_not_finite_are_refused(tmp_path, library):
    kernel = WEIGHTS["conv2/kernel"].copy()
    kernel[0, 0, 0, 0] = np.nan
    library.write_published(tmp_path / "file", NETWORK, WEIGHTS | {"conv2/kernel": kernel})
    assert "conv2/kernel" in read_refused(library.read_published, tmp_path / "file", NETWORK)


@EACH_FORMAT
def test_a_file_of_another_kind_is_refused(tmp_path, library):
    (tmp_path / "text").write_text("not weights\n" * 10)
    assert "text" in read_refused(library.read_published, tmp_path / "text", NETWORK)


def test_code_in_a_pickle_is_not_executed(tmp_path):
    class Touch:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"features.0.weight": Touch()}, tmp_path / "evil.pth")
    read_refused(torchvision_files.read_published, tmp_path / "evil.pth", NETWORK)
    assert not (tmp_path / "executed").exists()


def test_framework_free_weights_come_back_exactly(tmp_path):
    weights.write(tmp_path / "file.safetensors", WEIGHTS)
    found = weights.read(tmp_path / "file.safetensors")
    assert found.keys() == WEIGHTS.keys()
    assert all(np.array_equal(value, WEIGHTS[name]) for name, value in found.items())


def test_a_damaged_framework_free_file_is_refused(tmp_path):
    weights.write(tmp_path / "file.safetensors", WEIGHTS)
    content = (tmp_path / "file.safetensors").read_bytes()
    (tmp_path / "file.safetensors").write_bytes(content[:-5])
    read_refused(weights.read, tmp_path / "file.safetensors")
