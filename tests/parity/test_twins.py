"""The twins see the same pixels, which are the libraries' own, and take the same steps."""

import keras
import numpy as np
import pytest
import torch
from frameworks import PyTorch, TensorFlow
from support import make_job, split, training_settings
from torchvision.models import AlexNet_Weights
from torchvision.transforms.functional import normalize
from twinbench.backends.pytorch import augmentation as pytorch
from twinbench.backends.tensorflow import augmentation as tensorflow
from twinbench.recipe.augmentation import augmentation_matrices, evaluation_matrices
from twinbench.recipe.normalisation import NORMALISATIONS, normalisation


def transformed(name, size, matrices, fill="nearest"):
    """Images (n, height, width, 3), and what either framework makes of them."""
    images = split("target", len(matrices), 7)
    rest = (normalisation(name, images.mean, images.std), size, fill)
    tensor = torch.from_numpy(images.images)
    ours = pytorch.transform(tensor, torch.tensor(matrices), *rest).permute(0, 2, 3, 1)
    return images.images, ours.numpy(), tensorflow.transform(images.images, matrices, *rest).numpy()


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
        backend.train_epoch(plan, 0, lambda done: None)
        metrics.append(backend.running_metrics(plan.steps))
        trained.append(backend.weights())
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)
    for name, value in initial.items():
        if name.endswith("kernel"):
            first, second = (weights[name] for weights in trained)
            # Adam's step has the same size whatever the gradient's: near zero, rounding decides on it.
            assert np.linalg.norm(first - second) < 1e-2 * np.linalg.norm(first - value), name
