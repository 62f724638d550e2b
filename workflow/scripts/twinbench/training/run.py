"""One training job, from its arguments to its files."""

import argparse
import csv
import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twinbench import cli, provenance, sources
from twinbench.backends import backend_module, supported_gpus
from twinbench.backends.backend import Backend
from twinbench.config.arguments import flat
from twinbench.config.base import Settings
from twinbench.config.training import Training
from twinbench.data import splits
from twinbench.data.splits import Split
from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.networks import weights
from twinbench.networks.architectures import ARCHITECTURES, describe
from twinbench.training import devices, gpus, lock, loop
from twinbench.training.checkpoint import CheckpointStore, Parts
from twinbench.training.devices import Lease
from twinbench.training.job import Job
from twinbench.training.loop import Outcome
from twinbench.training.memory import keep_freed_memory
from twinbench.training.progress import Progress, duration

log = logging.getLogger(__name__)

TERMINATED = 143  # 128 + SIGTERM, as a shell reports it
_MOST_SKEW = 60  # seconds by which a file server's clock may differ


class WeightsSource(Settings):
    source: str
    file: str | None


class DatasetSource(Settings):
    name: str
    source: str


class RunSettings(Settings):
    """The settings of a run. `weights` and `dataset` only name its inputs, for provenance.json."""

    run: str
    framework: str
    model: str
    weights: WeightsSource
    dataset: DatasetSource
    training: Training


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of a training: its settings, inputs and outputs."""
    result = cli.parser(
        description,
        seed=int,
        threads=int,
        train=Path,
        validation=Path,
        test=Path,
        history=Path,
        predictions=Path,
        provenance=Path,
        model=Path,
        tensorboard=Path,
    )
    result.add_argument("--weights", type=Path, nargs="?", help="pretrained weights, if any")
    add_checkpoints(result)
    add_jobs_per_gpu(result)
    cli.add_settings(result, RunSettings)
    cli.add_name(result, lambda arguments: f"{arguments.settings.run}, seed {arguments.seed}")
    return result


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint-steps", type=int, default=0, help="save every so many steps too, unless 0"
    )
    parser.add_argument(
        "--resume", choices=("any", "exact"), default="any", help="checkpoints to go on from"
    )


def add_jobs_per_gpu(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs-per-gpu", type=int, default=1, help="jobs that may share a GPU")


def execute(arguments: argparse.Namespace) -> None:
    """Train a run and write its files. When interrupted exits with 143, the state saved."""
    settings: RunSettings = arguments.settings
    with (
        # First: a second process is to be refused rather than wait for the first one's GPU.
        lock.held(arguments.history.parent, "run"),
        devices.leased(
            settings.training.device,
            arguments.jobs_per_gpu,
            supported=supported_gpus(settings.framework),
        ) as lease,
    ):
        _execute(arguments, settings, lease)


def _execute(arguments: argparse.Namespace, settings: RunSettings, lease: Lease) -> None:
    started, start = datetime.now(UTC), time.monotonic()
    job = _job(arguments, settings)
    inputs = {"train": arguments.train, "validation": arguments.validation, "test": arguments.test}
    if arguments.weights:
        inputs["weights"] = arguments.weights
    _check_dates(inputs.values(), time.time() + _MOST_SKEW)  # before hours of work
    sums = provenance.checksums(inputs)
    backend = make(job, settings.framework, lease)
    identity = {
        "training": settings.training.model_dump(),
        "model": job.architecture.name,
        "seed": job.seed,
        # The test split is only predicted.
        "inputs": {name: value for name, value in sums.items() if name != "test"},
    }
    parts = parts_of(identity, settings.framework, job, backend)
    store = CheckpointStore(arguments.history.parent, "run", parts, arguments.resume == "exact")
    log.info(
        "%s in %s on %s, %s, %s",
        job.architecture.title,
        backend.precision,
        backend.device,
        f"{job.threads} {'thread' if job.threads == 1 else 'threads'}",
        f"{len(job.train):,} training images",
    )
    cores = len(os.sched_getaffinity(0))
    if backend.device == "cpu" and job.threads < cores:
        log.debug(
            "uses %d of %d cores; to give it all of them: --set-threads train_%s=%d",
            *(job.threads, cores, settings.framework, cores),
        )
    outcome = train(job, backend, store, arguments.tensorboard)
    if outcome.diagnosis and settings.training.on_collapse == "fail":
        raise InputError(f"{job.run}, seed {job.seed}: collapsed: {outcome.diagnosis}")
    logits = backend.logits(job.test.images)
    _write_history(arguments.history, outcome.history)
    _write_predictions(arguments.predictions, job.test, logits)
    backend.save_model(arguments.model)
    # After a resumption, at least the time of all epochs.
    trained = sum(row["seconds"] for row in outcome.history)
    seconds = round(max(time.monotonic() - start, trained), 3)
    record = {
        **_facts(settings, job, backend, outcome, sums),
        "accelerator": _accelerator(settings.framework, arguments.jobs_per_gpu),
        "device_note": lease.note,
        "resumed_inexactly": store.resumed_inexactly or None,
        "started": started.isoformat(timespec="seconds"),
        "total_seconds": seconds,
    }
    _write_json(arguments.provenance, record)
    # While there is a checkpoint to go on from.
    _check_dates(inputs.values(), arguments.history.stat().st_mtime)
    store.clear()
    log.info(
        "done: selected epoch %d of %d, total time %s",
        outcome.selected_epoch,
        len(outcome.history),
        duration(seconds),
    )


def _check_dates(inputs: Iterable[Path], latest: float) -> None:
    """Raise `InputError` where an input is newer than `latest`, as after a clock went back: Snakemake
    deletes outputs that are older than an input."""
    for path in inputs:
        written = path.stat().st_mtime
        if written > latest:
            then, now = (f"{datetime.fromtimestamp(at):%F %T}" for at in (written, time.time()))
            raise InputError(
                f"{path}: its date is {then}, and the clock says {now}: set the clock, or wait until "
                "then, and start again"
            )


def _job(arguments: argparse.Namespace, settings: RunSettings) -> Job:
    path, architecture = arguments.weights, ARCHITECTURES[settings.model]
    return Job(
        run=settings.run,
        seed=arguments.seed,
        architecture=architecture,
        settings=settings.training,
        train=splits.load(arguments.train),
        validation=splits.load(arguments.validation),
        test=splits.load(arguments.test),
        pretrained=weights.read(path, architecture) if path else {},
        published_normalisation=path is not None,
        threads=arguments.threads,
        checkpoint_steps=arguments.checkpoint_steps,
    )


def make(job: Job, framework: str, lease: Lease | None = None) -> Backend:
    """The backend of a job. A lease is checked against the device that the backend uses."""
    keep_freed_memory()
    backend = backend_module(framework).Backend(job)
    if lease:
        devices.check(lease, job.settings.device, backend.device)
    return backend


def parts_of(identity: dict, framework: str, job: Job, backend: Backend) -> Parts:
    """Everything that determines the training's result.

    `identity` has what is particular to this training; versions, code and conditions are added here.
    """
    script = Path(sys.argv[0]).resolve()
    experiment = flat({**identity, "versions": provenance.versions(backend.libraries)})
    # Only a wish: the device that was used is among the conditions. The precision set is no wish but
    # part of the experiment. What `auto` became is a condition: on other hardware it may be another
    # arithmetic, but a training that moved there is to go on, and its provenance says so.
    del experiment["training.device"]
    code = sources.checksums(script, f"twinbench.backends.{framework}.backend")
    conditions = {
        "precision": backend.precision,
        "device": backend.device,
        "threads": job.threads,
    }
    return Parts(experiment, code, conditions)


def train(job: Job, backend: Backend, store: CheckpointStore, tensorboard: Path) -> Outcome:
    """Train, with progress in the log and in `tensorboard`. An interruption ends the process."""
    progress = Progress(job.epoch_costs, tensorboard)
    try:
        return loop.train(job, backend, store, progress)
    except loop.Interrupted as interruption:
        log.info("interrupted %s: saved; start again to resume", interruption)
        sys.exit(TERMINATED)
    finally:
        progress.close()


def _facts(
    settings: RunSettings, job: Job, backend: Backend, outcome: Outcome, sums: dict[str, str]
) -> dict[str, Any]:
    """What provenance.json records, times aside."""
    names = ("train", "validation", "test")
    device = f"CPU ({provenance.processor()})" if backend.device == "cpu" else backend.device
    return {
        "run": job.run,
        "seed": job.seed,
        "framework": settings.framework,
        "model": settings.model,
        "weights": {**settings.weights.model_dump(), "sha256": sums.get("weights")},
        "settings": settings.training.model_dump(),
        "precision": backend.precision,
        "device": device,
        "threads": job.threads,
        "parameters": sum(
            value.size
            for name, value in backend.weights().items()
            if not name.endswith(("/mean", "/variance"))
        ),
        "layers": describe(job.layers, job.input_size),
        "input_size": job.input_size_in(outcome.selected_epoch),
        "epochs_run": len(outcome.history),
        "selected_epoch": outcome.selected_epoch,
        "status": "collapsed" if outcome.diagnosis else "completed",
        "diagnosis": outcome.diagnosis,
        "dataset": {
            **settings.dataset.model_dump(),
            "class_names": job.train.class_names,
            **{f"{name}_images": len(getattr(job, name)) for name in names},
            "sha256": {name: sums[name] for name in names},
        },
        "versions": provenance.versions(backend.libraries),
        "git": provenance.git_state(Path(__file__).parent),
    }


def _accelerator(framework: str, jobs_per_gpu: int) -> dict[str, Any] | None:
    """The GPU, its software, and how many jobs may share it; None on the CPU."""
    found = backend_module(framework, "accelerator").accelerator()
    if found is None:
        return None
    return {**asdict(found), "driver": gpus.driver_version(), "jobs_per_gpu": jobs_per_gpu}


def _write_history(path: Path, history: list[dict]) -> None:
    with (
        written_atomically(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def _write_predictions(path: Path, split: Split, logits: np.ndarray) -> None:
    """One row per image: `sample_id` int64, `label` int64, `logits` float32, one per class."""
    values = pa.array(logits.astype(np.float32).reshape(-1))
    columns = {
        "sample_id": split.sample_ids,
        "label": split.labels,
        "logits": pa.FixedSizeListArray.from_arrays(values, logits.shape[1]),
    }
    table = pa.table(columns).replace_schema_metadata(
        {"class_names": json.dumps(list(split.class_names))}
    )
    with written_atomically(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def _write_json(path: Path, value: dict) -> None:
    with written_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
