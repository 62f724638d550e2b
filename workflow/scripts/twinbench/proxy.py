"""Proxy weights: a backbone pretrained on a synthetic source task, for want of ImageNet's.

The net is trained with batch normalisation, without which deep plain nets need many more epochs, and
handed over without it: scale and shift go into the convolutions.
"""

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from twinbench import command, devices, protocol, provenance, sources, training
from twinbench.architecture import ARCHITECTURES
from twinbench.checkpoint import Store
from twinbench.errors import InputError
from twinbench.experiment import TERMINATED, MakeArm, add_checkpoint_steps
from twinbench.job import Job
from twinbench.memory import keep_freed_memory
from twinbench.progress import Progress
from twinbench.protocol import Weights
from twinbench.synthetic_split import draw_split

log = logging.getLogger(__name__)

_VALIDATION_FRACTION = 0.1


def parser(description: str | None) -> argparse.ArgumentParser:
    result = command.parser(
        description,
        settings=json.loads,
        model=str,
        threads=int,
        output=Path,
        tensorboard=Path,
    )
    add_checkpoint_steps(result)
    return result


def pretrain(
    arguments: argparse.Namespace, make_arm: MakeArm, write: Callable[[Path, Weights], None]
) -> None:
    """Train the net on the source task and `write` its weights, the source classes' head included."""
    with devices.leased(arguments.settings["training"]["device"]):
        _pretrain(arguments, make_arm, write)


def _pretrain(
    arguments: argparse.Namespace, make_arm: MakeArm, write: Callable[[Path, Weights], None]
) -> None:
    settings = arguments.settings
    validation_images = round(settings["images"] * _VALIDATION_FRACTION)
    job = Job(
        run=f"{arguments.model} on the source task",
        seed=settings["seed"],
        architecture=ARCHITECTURES[arguments.model],
        settings=settings["training"],
        train=draw_split("source", settings["images"], settings["seed"]),
        validation=draw_split("source", validation_images, settings["seed"] + 1),
        test=draw_split("source", 0, settings["seed"]),
        pretrained={},
        net_normalisation=True,
        threads=arguments.threads,
        checkpoint_steps=arguments.checkpoint_steps,
    )
    keep_freed_memory()
    arm = make_arm(job)
    devices.check(settings["training"]["device"], arm.device)
    key = {
        "settings": settings,
        "code": sources.checksums(Path(sys.argv[0]).resolve()),
        "versions": provenance.versions(arm.libraries),
        "device": arm.device,
        "precision": arm.precision.name,
        "threads": job.threads,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    store = Store(arguments.output.parent, arguments.model, digest)
    progress = Progress(job.work_of_epochs, arguments.tensorboard)
    log.info("proxy weights of %s: %d synthetic images", job.architecture.title, len(job.train))
    try:
        outcome = training.train(job, arm, store, progress)
    except training.Interrupted as interruption:
        log.info("interrupted %s: saved, the next start goes on from here", interruption)
        sys.exit(TERMINATED)
    finally:
        progress.close()
    if outcome.diagnosis:
        raise InputError(f"weights.proxy: {job.run} collapsed: {outcome.diagnosis}")
    write(arguments.output, protocol.fold_batch_normalisation(arm.weights()))
    store.clear()
