"""What tests of several rooms use: the project's folder, tiny networks, small jobs."""

from pathlib import Path

from twinbench.config.training import Training
from twinbench.data.synthetic import generate_split
from twinbench.networks.architectures import (
    AdaptiveAveragePooling,
    Architecture,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    MaxPooling,
    PublishedWeights,
)
from twinbench.training.job import Job

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"

# Every kind of layer, and everything that twins could get wrong, in some thousand weights.
TINY = Architecture(
    name="tiny",
    title="Tiny network",
    layers=(
        Convolution("conv1", 6, 3, padding=1),
        MaxPooling("pool1", 2, 2),
        Convolution("conv2", 8, 5, stride=2, padding=2),
        Flatten("flatten"),
        Dropout("dropout1"),
        Dense("dense1", 24),
        Dropout("dropout2"),
        Dense("dense2", 16),
    ),
    input_size=32,
    smallest_input=32,
)
# Takes images of any size, and has published weights.
TINY_RESIZABLE = Architecture(
    name="tiny_resizable",
    title="Tiny network for any image size",
    layers=(
        Convolution("conv1", 6, 3, padding=1),
        MaxPooling("pool1", 2, 2),
        Convolution("conv2", 8, 3, padding=1),
        AdaptiveAveragePooling("average", 2),
        Flatten("flatten"),
        Dropout("dropout1"),
        Dense("dense1", 16),
    ),
    input_size=32,
    smallest_input=32,
    published=PublishedWeights(
        backend="pytorch",
        library_name=None,
        url="https://example.org/tiny.pth",
        checksum="0" * 8,
        normalisation="caffe",
        pretraining_size=32,
    ),
)


def training_settings(**changes) -> Training:
    """The default training settings, changed by key; dicts change groups key by key."""
    return Training().changed(**changes)


def make_job(architecture=TINY, images=48, seed=1, pretrained=None, threads=2, **changes) -> Job:
    """A small job on synthetic images; `changes` are training settings."""
    settings = {"batch_size": 16, "epochs": 2, "precision": "float32", **changes}
    return Job(
        run="run",
        seed=seed,
        architecture=architecture,
        settings=training_settings(**settings),
        train=generate_split("target", images, 1),
        validation=generate_split("target", 20, 2),
        test=generate_split("target", 20, 3),
        pretrained=pretrained or {},
        published_normalisation=bool(pretrained),
        threads=threads,
    )
