"""What tests of several rooms use: the project's folder, tiny networks, small jobs and their files."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from twinbench.backends import model_suffix
from twinbench.config.arguments import to_arguments
from twinbench.config.training import Training
from twinbench.data import splits
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
from twinbench.networks.weights import Weights
from twinbench.recipe.initial_weights import initial_weights
from twinbench.training.job import Job

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"

NO_AUGMENTATION = {"rotation_degrees": 0, "shift_fraction": 0, "horizontal_flip": False}

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
    published=PublishedWeights(
        backend="pytorch",
        library_name=None,
        url="https://example.org/tiny.pth",
        checksum="0" * 8,
        normalisation="caffe",
        pretraining_size=32,
    ),
)
# Whose first layer has another name in the libraries' files.
TINY_RENAMED = replace(
    TINY_RESIZABLE,
    published=replace(TINY_RESIZABLE.published, layer_names={"conv1": "features.0"}),
)


def resizable_weights(classes: int) -> Weights:
    """Initial weights of the network for any image size, with a head for so many classes."""
    return initial_weights(1, TINY_RESIZABLE.with_head(classes), 32, False)


def body(weights: Weights) -> Weights:
    """Without the head."""
    return {name: value for name, value in weights.items() if not name.startswith("head/")}


def options(values: Mapping[str, object]) -> list[str]:
    """Options of a command: `--name value` for each."""
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def write_program(path: Path, text: str) -> Path:
    """Make an executable file; returns its folder, for a search path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path.parent


def training_settings(**changes) -> Training:
    """The default training settings, changed by key; dicts change groups key by key."""
    return Training().changed(**changes)


# Making images takes a while, and no test changes them.
split = cache(generate_split)


def make_job(architecture=TINY, images=48, seed=1, pretrained=None, threads=1, **changes) -> Job:
    """A small job on synthetic images; `changes` are training settings."""
    settings = {"batch_size": 16, "epochs": 2, "precision": "float32", **changes}
    return Job(
        run="run",
        seed=seed,
        architecture=architecture,
        settings=training_settings(**settings),
        train=split("target", images, 1),
        validation=split("target", 20, 2),
        test=split("target", 20, 3),
        pretrained=pretrained or {},
        published_normalisation=bool(pretrained),
        threads=threads,
    )


def training_arguments(job: Job, framework: str, folder: Path) -> list[str]:
    """The arguments by which `train.py` trains the job. Its inputs are written to `folder`, where its
    outputs go as well."""
    settings = {
        "run": job.run,
        "framework": framework,
        "model": job.architecture.name,
        "weights": {"source": "none", "file": None},
        "dataset": {"name": "synthetic-1", "source": "synthetic"},
        "training": job.settings,
    }
    files = {
        "history": "history.csv",
        "predictions": "predictions.parquet",
        "provenance": "provenance.json",
        "model": f"model.{model_suffix(framework)}",
        "tensorboard": "tensorboard",
        "log": "train.log",
    }
    for name in ("train", "validation", "test"):
        files[name] = f"{name}.safetensors"
        splits.save(folder / files[name], getattr(job, name))
    paths = options({name: folder / file for name, file in files.items()})
    return [*to_arguments(settings).values(), "--seed", "1", "--threads", "1", *paths]
