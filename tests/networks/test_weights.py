"""Official weights files: read whole, refused when they are not what they should be."""

import numpy as np
import pytest
import torch
from twinbench import protocol, weights
from twinbench.architecture import ALEXNET, VGG16
from twinbench.errors import InputError
from twinbench.pytorch.weights import read_alexnet, write_alexnet


@pytest.fixture(scope="module")
def alexnet_weights():
    return protocol.initial_weights(1, ALEXNET.with_head(20), 128, False)


@pytest.fixture(scope="module")
def vgg16_weights():
    return protocol.initial_weights(1, VGG16.layers, 32, False)


def test_an_alexnet_file_comes_back_exactly_and_torchvision_loads_it(tmp_path, alexnet_weights):
    from torchvision.models import alexnet

    write_alexnet(tmp_path / "alexnet.pth", alexnet_weights)
    alexnet().load_state_dict(torch.load(tmp_path / "alexnet.pth", weights_only=True))
    read = read_alexnet(tmp_path / "alexnet.pth")
    for name, value in alexnet_weights.items():
        assert np.array_equal(read[name][..., : value.shape[-1]], value), name


def test_a_vgg16_file_comes_back_exactly(tmp_path, vgg16_weights):
    weights.write_vgg16(tmp_path / "vgg16.h5", vgg16_weights)
    read = weights.read_vgg16(tmp_path / "vgg16.h5")
    assert read.keys() == vgg16_weights.keys()
    assert all(np.array_equal(read[name], vgg16_weights[name]) for name in read)


def test_framework_free_weights_come_back_exactly(tmp_path, vgg16_weights):
    weights.write(tmp_path / "vgg16.safetensors", vgg16_weights)
    read = weights.read(tmp_path / "vgg16.safetensors")
    assert all(np.array_equal(read[name], vgg16_weights[name]) for name in vgg16_weights)


def test_a_vgg16_file_without_a_layer_is_refused(tmp_path, vgg16_weights):
    import h5py

    weights.write_vgg16(tmp_path / "vgg16.h5", vgg16_weights)
    with h5py.File(tmp_path / "vgg16.h5", "a") as file:
        del file["block3_conv2"]
    with pytest.raises(InputError, match="tensor block3_conv2/kernel is missing"):
        weights.read_vgg16(tmp_path / "vgg16.h5")


@pytest.mark.parametrize("read", [weights.read_vgg16, read_alexnet])
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, read):
    (tmp_path / "text").write_text("not weights\n" * 10)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "text")
    assert "\n" not in str(caught.value)


def test_a_pickle_with_code_is_not_executed(tmp_path):
    class Touch:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"features.0.weight": Touch()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="not a state dict of torchvision's AlexNet"):
        read_alexnet(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


def test_weights_that_are_not_finite_are_refused(tmp_path, vgg16_weights):
    kernel = vgg16_weights["block1_conv1/kernel"].copy()
    kernel[0, 0, 0, 0] = np.nan
    weights.write_vgg16(tmp_path / "vgg16.h5", vgg16_weights | {"block1_conv1/kernel": kernel})
    with pytest.raises(InputError, match="block1_conv1/kernel is not finite"):
        weights.read_vgg16(tmp_path / "vgg16.h5")
