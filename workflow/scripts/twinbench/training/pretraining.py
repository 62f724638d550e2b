"""Synthetic weights: a network pretrained here on synthetic images, where ImageNet weights cannot
be had.

The network is trained with batch normalisation, without which deep plain networks need many more
epochs, and its scale and shift are then folded into the convolutions.
"""

import argparse
import logging
from pathlib import Path

from twinbench import cli
from twinbench.backends import backend_module, supported_gpus
from twinbench.config.base import Settings
from twinbench.config.training import Training
from twinbench.data.synthetic import generate_split
from twinbench.errors import InputError
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.recipe.initial_weights import fold_batch_normalisation
from twinbench.training import devices, lock
from twinbench.training.checkpoint import CheckpointStore
from twinbench.training.devices import Lease
from twinbench.training.job import Job
from twinbench.training.run import (
    add_checkpoints,
    add_jobs_per_gpu,
    make,
    parts_of,
    train,
)

log = logging.getLogger(__name__)

_VALIDATION_FRACTION = 0.1


class PretrainingSettings(Settings):
    model: str
    images: int
    seed: int
    training: Training


def parser(description: str | None) -> argparse.ArgumentParser:
    result = cli.parser(description, backend=str, threads=int, output=Path, tensorboard=Path)
    add_checkpoints(result)
    add_jobs_per_gpu(result)
    result.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "gpu"), help="training.device"
    )
    cli.add_settings(result, PretrainingSettings)
    cli.add_name(result, lambda arguments: f"pretraining of {arguments.settings.model}")
    return result


def execute(arguments: argparse.Namespace) -> None:
    """Pretrain a network and write its weights in its library's format, the head included."""
    settings: PretrainingSettings = arguments.settings
    with (
        lock.held(arguments.output.parent, arguments.output.name),
        devices.leased(
            arguments.device, arguments.jobs_per_gpu, supported=supported_gpus(arguments.backend)
        ) as lease,
    ):
        _execute(arguments, settings, lease)


def _execute(arguments: argparse.Namespace, settings: PretrainingSettings, lease: Lease) -> None:
    architecture = ARCHITECTURES[settings.model]
    validation_images = round(settings.images * _VALIDATION_FRACTION)
    job = Job(
        run=f"pretraining of {settings.model}",
        seed=settings.seed,
        architecture=architecture,
        settings=settings.training.changed(device=arguments.device),
        train=generate_split("source", settings.images, settings.seed),
        validation=generate_split("source", validation_images, settings.seed + 1),
        test=generate_split("source", 0, settings.seed),
        pretrained={},
        published_normalisation=True,
        threads=arguments.threads,
        checkpoint_steps=arguments.checkpoint_steps,
    )
    backend = make(job, arguments.backend, lease)
    parts = parts_of(settings.model_dump(), arguments.backend, job, backend)
    folder, exact = arguments.output.parent, arguments.resume == "exact"
    store = CheckpointStore(folder, arguments.output.name, parts, exact)
    log.info("%s on %d synthetic images", architecture.title, len(job.train))
    outcome = train(job, backend, store, arguments.tensorboard)
    if outcome.diagnosis:
        raise InputError(f"weights.synthetic: {job.run} collapsed: {outcome.diagnosis}")
    library = backend_module(arguments.backend, "weights")
    library.write_published(
        arguments.output, architecture, fold_batch_normalisation(backend.weights())
    )
    store.clear()
