"""Weights files as users have them: other wrappers, prefixes, heads and formats."""

import keras
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support import TINY_RENAMED, body, resizable_weights
from twinbench.backends.pytorch import weights as pytorch
from twinbench.backends.tensorflow import network as keras_network
from twinbench.backends.tensorflow import weights as tensorflow
from twinbench.networks.architectures import ARCHITECTURES

WEIGHTS = resizable_weights(20)
BODY = body(WEIGHTS)


def same(found):
    return found.keys() == BODY.keys() and all(np.array_equal(v, BODY[n]) for n, v in found.items())


@pytest.fixture
def state(tmp_path):
    """torchvision's state dict, without the head."""
    pytorch.write_published(tmp_path / "plain.pth", TINY_RENAMED, WEIGHTS)
    state = torch.load(tmp_path / "plain.pth", weights_only=True)
    return {name: value for name, value in state.items() if not name.startswith("head.")}


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


WRAPPED = {
    "DataParallel": lambda state: prefixed(state, "module."),
    "compiled": lambda state: prefixed(state, "_orig_mod."),
    "compiled DataParallel": lambda state: prefixed(state, "module._orig_mod."),
    "part of a larger module": lambda state: (
        prefixed(state, "backbone.") | {"neck.w": state["features.0.bias"]}
    ),
    "state_dict": lambda state: {"state_dict": state, "epoch": 3, "best": 0.8},
    "model, with prefixes": lambda state: {"model": prefixed(state, "module."), "optimizer": {}},
    "two levels": lambda state: {"checkpoint": {"model_state_dict": state}},
    "another number of classes": lambda state: (
        state | {"head.weight": torch.ones(5, 16), "head.bias": torch.ones(5)}
    ),
    "half precision": lambda state: {n: v.half().float().half() for n, v in state.items()},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_state_dict_is_found_wherever_it_is(state, wrap, tmp_path):
    torch.save(wrap(state), tmp_path / "users.pth")
    found = pytorch.read_published(tmp_path / "users.pth", TINY_RENAMED)
    assert found.keys() == BODY.keys()
    for name, value in found.items():
        assert value.dtype == np.float32
        assert np.allclose(value, BODY[name], atol=1e-3 if wrap is WRAPPED["half precision"] else 0)


def test_a_safetensors_file_is_read(state, tmp_path):
    tensors = {name: value.contiguous() for name, value in prefixed(state, "model.").items()}
    save_file(tensors, tmp_path / "users.safetensors")
    assert same(pytorch.read_published(tmp_path / "users.safetensors", TINY_RENAMED))


@pytest.fixture
def model():
    """The network in Keras, with a head for 20 classes, and layers that Keras names."""
    built = keras_network.build(TINY_RENAMED.with_head(20), False, 32, dropout=0.1, own_masks=True)
    keras_network.set_weights(built, WEIGHTS)
    return built


def nested(model):
    """As a user puts another head on a body."""
    inputs, outputs = model.inputs, model.layers[-2].output
    body = keras.Model(inputs, outputs)
    return keras.Sequential([body, keras.layers.Dense(3)])


@pytest.mark.parametrize(
    "change", [lambda model: model, nested], ids=["whole", "with another head"]
)
@pytest.mark.parametrize("suffix", ["weights.h5", "keras"])
def test_keras_3_files_are_read_in_the_order_of_their_layers(model, change, suffix, tmp_path):
    path = tmp_path / f"users.{suffix}"
    (change(model).save if suffix == "keras" else change(model).save_weights)(path)
    assert same(tensorflow.read_published(path, TINY_RENAMED))


def test_a_whole_model_of_keras_2_is_read(tmp_path):
    vgg16 = ARCHITECTURES["vgg16"]
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    model.save(tmp_path / "users.h5")
    found = tensorflow.read_published(tmp_path / "users.h5", vgg16)
    kernel = model.get_layer("block3_conv2").get_weights()[0]
    assert np.array_equal(found["block3_conv2/kernel"], kernel)
