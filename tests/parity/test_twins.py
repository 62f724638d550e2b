"""The twins see the same pixels, which are the libraries' own, and take the same steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from frameworks import PyTorch, TensorFlow
from support import make_job, split, training_settings
from torchvision.models import AlexNet_Weights
from torchvision.transforms.functional import normalize
from trainings import train_epoch
from twinbench.backends.pytorch import augmentation as pytorch
from twinbench.backends.pytorch.network import AdaptiveAveragePooling as PoolingInTorch
from twinbench.backends.pytorch.network import MaskedDropout as MaskedDropoutInTorch
from twinbench.backends.tensorflow import augmentation as tensorflow
from twinbench.backends.tensorflow.network import AdaptiveAveragePooling as PoolingInKeras
from twinbench.backends.tensorflow.network import MaskedDropout as MaskedDropoutInKeras
from twinbench.recipe.augmentation import augmentation_matrices, evaluation_matrices
from twinbench.recipe.dropout import dropout_keys, dropout_mask
from twinbench.recipe.normalisation import NORMALISATIONS, normalisation


def transformed(name, size, matrices, fill="nearest"):
    """Images (n, height, width, 3), and what either framework makes of them."""
    images = split("target", len(matrices), 7)
    constants = normalisation(name, images.mean, images.std)
    normaliser = pytorch.Normaliser(constants, torch.device("cpu"))
    tensors = torch.from_numpy(images.images), torch.tensor(matrices)
    first = pytorch.transform(*tensors, normaliser, size, fill).permute(0, 2, 3, 1)
    second = tensorflow.transform(images.images, matrices, constants, size, fill)
    return images.images, first.numpy(), second.numpy()


@pytest.mark.parametrize("name", NORMALISATIONS)
@pytest.mark.parametrize("fill", ["nearest", "zeros"])
def test_augmented_pixels_agree(name, fill):
    changes = {"rotation_degrees": 30, "shift_fraction": 0.2, "scale_fraction": 0.2}
    settings = training_settings(augmentation=changes).augmentation
    matrices = augmentation_matrices(1, 1, 16, 32, 48, settings)
    _, first, second = transformed(name, 48, matrices, fill)
    # float32 positions of up to 48 pixels are exact to about 4e-6 of a pixel.
    assert np.abs(first - second).max() < 2e-5 * np.abs(first).max()


def test_pixels_are_those_of_the_libraries_own_preprocessing():
    images, first, second = transformed("caffe", 32, evaluation_matrices(4, 32, 32))
    expected = keras.applications.vgg16.preprocess_input(images.astype(np.float32))
    assert max(np.abs(pixels - expected).max() for pixels in (first, second)) < 1e-4
    images, first, second = transformed("imagenet", 32, evaluation_matrices(4, 32, 32))
    preset = AlexNet_Weights.IMAGENET1K_V1.transforms()
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    expected = normalize(channels_first, preset.mean, preset.std).permute(0, 2, 3, 1).numpy()
    assert max(np.abs(pixels - expected).max() for pixels in (first, second)) < 1e-5


def test_images_are_resized_as_torch_does_it_bilinearly():
    images, first, second = transformed("dataset", 64, evaluation_matrices(4, 32, 64))
    small = (torch.from_numpy(images).float() / 255 - 0.5) / 0.25  # mean and std of the split
    expected = torch.nn.functional.interpolate(
        small.permute(0, 3, 1, 2), size=64, mode="bilinear", align_corners=False
    )
    expected = expected.permute(0, 2, 3, 1).numpy()
    assert max(np.abs(pixels - expected).max() for pixels in (first, second)) < 2e-5


def test_twins_take_the_same_steps():
    job = make_job(
        images=96,
        dropout=0.5,
        learning_rate=1e-3,
        label_smoothing=0.1,
        batch_normalisation=True,
        optimiser={"weight_decay": 0.1},
        learning_rate_multipliers={"conv": 0.5},
    )
    (phase,) = job.phases
    initial, metrics, trained = job.initial_weights(), [], []
    for make_backend in (PyTorch, TensorFlow):
        backend = make_backend(job)
        backend.start_phase(phase)
        plan = job.plan(phase, 1)
        train_epoch(backend, plan)
        metrics.append(backend.running_metrics(plan.steps))
        trained.append(backend.weights())
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)
    for name, value in initial.items():
        if name.endswith("kernel"):
            first, second = (weights[name] for weights in trained)
            # Adam's step has the same size whatever the gradient's: near zero, rounding decides on it.
            assert np.linalg.norm(first - second) < 1e-2 * np.linalg.norm(first - value), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropout_masks_are_the_recipes_in_both_frameworks(dtype):
    keys, rate, (height, width, channels) = dropout_keys(1, 1, 1, 1)[0, 0], 0.3, (3, 2, 5)
    expected = dropout_mask(keys, (7, 30), rate)
    inputs = torch.ones(7, 30, dtype=getattr(torch, dtype))
    layer = MaskedDropoutInTorch(30, (height, width, channels), rate)
    layer.keys = torch.from_numpy(keys)
    # torch flattens images as channels, height, width.
    found = layer(inputs).reshape(7, channels, height, width).permute(0, 2, 3, 1).reshape(7, 30)
    in_keras = MaskedDropoutInKeras(30, rate, dtype=dtype)
    in_keras.keys = tf.constant(keys.astype(np.uint32))
    also_found = in_keras(np.ones((7, 30)), training=True)
    for each in (found.float().numpy(), tf.cast(also_found, "float32").numpy()):
        assert np.allclose(each, expected, rtol=2**-8 if dtype == "bfloat16" else 1e-6)
        assert np.array_equal(each == 0, expected == 0)


@pytest.mark.parametrize(("pixels", "cells"), [(1, 6), (6, 6), (7, 3), (8, 2), (5, 1)])
def test_average_pooling_is_torchs_in_both_frameworks(pixels, cells):
    images = np.random.default_rng(1).random((2, pixels, pixels, 3), np.float32)
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2)
    expected = torch.nn.AdaptiveAvgPool2d(cells)(channels_first).permute(0, 2, 3, 1).numpy()
    found = PoolingInTorch(cells)(channels_first).permute(0, 2, 3, 1).numpy()
    also_found = PoolingInKeras(cells)(images).numpy()
    assert np.allclose(found, expected, atol=1e-6)
    assert np.allclose(also_found, expected, atol=1e-6)
