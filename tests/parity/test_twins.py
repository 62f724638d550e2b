"""The two frameworks run the same experiment: pixels, weights, logits, and steps of training agree."""

import numpy as np
import pytest
import torch
from support import make_job
from twinbench import protocol
from twinbench.pytorch import augment as pytorch_augment
from twinbench.pytorch.arm import PyTorchArm
from twinbench.synthetic_split import draw_split
from twinbench.tensorflow import augment as tensorflow_augment
from twinbench.tensorflow.arm import TensorFlowArm

NETS = pytest.mark.parametrize(
    ("model", "changes"),
    [("alexnet32", {}), ("alexnet", {"input_size": 64}), ("vgg16", {})],
    ids=["alexnet32", "alexnet", "vgg16"],
)


def _prepared(name: str, size: int, matrices: np.ndarray, fill: str = "nearest"):
    split = draw_split("target", len(matrices), 7)
    normalisation = protocol.normalisation(name, split.mean, split.std)
    ours = pytorch_augment.prepare(
        torch.from_numpy(split.images), torch.tensor(matrices), normalisation, size, fill
    )
    theirs = tensorflow_augment.prepare(split.images, matrices, normalisation, size, fill)
    return split.images, ours.permute(0, 2, 3, 1).numpy(), theirs.numpy()


@pytest.mark.parametrize("name", protocol.NORMALISATIONS)
@pytest.mark.parametrize("fill", ["nearest", "zeros"])
def test_augmented_pixels_agree(name, fill):
    settings = {
        "rotation_degrees": 30,
        "shift_fraction": 0.2,
        "whole_pixels": False,
        "scale_fraction": 0.2,
        "horizontal_flip": True,
    }
    matrices = protocol.augmentation_matrices(1, 1, 16, 32, 48, settings)
    _, ours, theirs = _prepared(name, 48, matrices, fill)
    # float32 positions of up to 48 pixels leave 4e-6 of a pixel to the interpolation.
    assert np.abs(ours - theirs).max() < 2e-5 * np.abs(ours).max()


def test_without_augmentation_pixels_are_those_of_the_libraries_own_preprocessing():
    from keras.applications.vgg16 import preprocess_input
    from torchvision.models import AlexNet_Weights
    from torchvision.transforms.functional import normalize

    images, ours, theirs = _prepared("caffe", 32, protocol.plain_matrices(4, 32, 32))
    expected = preprocess_input(images.astype(np.float32))
    assert np.abs(ours - expected).max() < 1e-4
    assert np.abs(theirs - expected).max() < 1e-4
    images, ours, _ = _prepared("imagenet", 32, protocol.plain_matrices(4, 32, 32))
    transform = AlexNet_Weights.IMAGENET1K_V1.transforms()
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    expected = normalize(channels_first, transform.mean, transform.std).permute(0, 2, 3, 1)
    assert np.abs(ours - expected.numpy()).max() < 1e-5


def test_a_resize_is_bilinear_as_torch_resizes():
    images, ours, _ = _prepared("dataset", 64, protocol.plain_matrices(4, 32, 64))
    small = (torch.from_numpy(images).float() / 255 - 0.5) / 0.25  # as draw_split says
    expected = torch.nn.functional.interpolate(
        small.permute(0, 3, 1, 2), size=64, mode="bilinear", align_corners=False
    )
    assert np.abs(ours - expected.permute(0, 2, 3, 1).numpy()).max() < 1e-5


@NETS
def test_twins_start_from_the_same_weights_and_compute_the_same_logits(model, changes):
    job = make_job(model, **changes)
    ours, theirs = PyTorchArm(job), TensorFlowArm(job)
    weights = theirs.weights()
    for name, value in ours.weights().items():
        assert np.array_equal(value, weights[name]), name
    logits = ours.logits(job.test.images)
    # Sums over up to 9216 float32 terms in another order.
    assert np.abs(logits - theirs.logits(job.test.images)).max() < 1e-5 * np.abs(logits).max()


def test_twins_take_the_same_steps():
    changes = {
        "dropout": 0.5,
        "learning_rate": 1e-4,
        "label_smoothing": 0.1,
        "optimiser": {"weight_decay": 0.1},
        "rate_factors": {"conv": 0.5},
    }
    job = make_job(images=96, epochs=1, **changes)
    ours, theirs = PyTorchArm(job), TensorFlowArm(job)
    (phase,) = protocol.phases(job.settings, job.architecture)
    initial = ours.weights()
    results = []
    for arm in (ours, theirs):
        arm.start_phase(phase)
        arm.train_epoch(phase, 1, 0, 1.0, lambda done: None)
        results.append(arm.means(job.steps_per_epoch))
    assert results[0] == pytest.approx(results[1], rel=1e-4)
    other = theirs.weights()
    for name, value in ours.weights().items():
        if name.endswith("kernel"):
            change = np.linalg.norm(value - initial[name])
            # Adam's step has the same size whatever the gradient's: near zero, rounding decides on it.
            assert np.linalg.norm(value - other[name]) < 1e-2 * change, name


def test_alexnet_is_torchvisions():
    from torchvision.models import alexnet
    from twinbench.pytorch.weights import _OFFICIAL_NAMES

    job = make_job("alexnet", input_size=64)
    arm = PyTorchArm(job)
    official = alexnet(num_classes=10).eval()
    state = arm._network.state_dict()
    official.load_state_dict(
        {
            f"{theirs}.{part}": state[f"{ours}.{part}"]
            for ours, theirs in _OFFICIAL_NAMES.items()
            for part in ("weight", "bias")
        }
    )
    images = torch.randn(4, 3, 64, 64)
    arm._network.eval()
    with torch.no_grad():
        assert torch.allclose(arm._network(images), official(images), atol=1e-4)


def test_vgg16_is_kerass(tmp_path):
    import keras
    from twinbench import weights

    job = make_job("vgg16")
    arm = TensorFlowArm(job)
    weights.write_vgg16(tmp_path / "vgg16.h5", arm.weights())
    official = keras.applications.VGG16(
        weights=str(tmp_path / "vgg16.h5"), include_top=False, input_shape=(32, 32, 3)
    )
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    features = keras.Sequential(arm._network.layers[:-3])  # up to the last pooling
    difference = np.abs(features(images).numpy() - official(images).numpy()).max()
    assert difference < 1e-4 * np.abs(official(images).numpy()).max()
