"""One training job, from its arguments to its files."""

import argparse
import csv
import hashlib
import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twinbench import architecture, command, devices, provenance, sources, splits, training, weights
from twinbench.architecture import ARCHITECTURES
from twinbench.checkpoint import Store
from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.job import Job
from twinbench.memory import keep_freed_memory
from twinbench.progress import Progress, duration
from twinbench.splits import Split
from twinbench.training import Arm, Outcome

log = logging.getLogger(__name__)

MakeArm = Callable[[Job], Arm]
TERMINATED = 143  # 128 + SIGTERM, as a shell reports it


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of a training: what the run is, its inputs, its outputs."""
    result = command.parser(
        description,
        settings=json.loads,
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
    result.add_argument("--weights", type=Path, help="framework-free weights to start from")
    add_checkpoint_steps(result)
    return result


def add_checkpoint_steps(parser: argparse.ArgumentParser) -> None:
    help = "save every so many steps as well, unless it is 0"
    parser.add_argument("--checkpoint-steps", type=int, default=0, help=help)


def execute(arguments: argparse.Namespace, make_arm: MakeArm) -> None:
    """Train a run and write its files. After SIGTERM exits with 143, its state saved."""
    with devices.leased(arguments.settings["training"]["device"]):
        _execute(arguments, make_arm)


def _execute(arguments: argparse.Namespace, make_arm: MakeArm) -> None:
    started = datetime.now(UTC)
    start = time.monotonic()
    job = _load(arguments)
    inputs = {"train": arguments.train, "validation": arguments.validation, "test": arguments.test}
    if arguments.weights:
        inputs["weights"] = arguments.weights
    sums = provenance.checksums(inputs)
    keep_freed_memory()
    arm = make_arm(job)
    devices.check(arguments.settings["training"]["device"], arm.device)
    libraries = provenance.versions(arm.libraries)
    store = Store(arguments.history.parent, "run", _key(arguments, job, arm, sums, libraries))
    log.info(
        "%s, seed %d: %s in %s on %s, %d threads, %d training images",
        job.run,
        job.seed,
        job.architecture.title,
        arm.precision,
        arm.device,
        job.threads,
        len(job.train),
    )
    progress = Progress(job.work_of_epochs, arguments.tensorboard)
    try:
        outcome = training.train(job, arm, store, progress)
    except training.Interrupted as interruption:
        log.info("interrupted %s: saved, the next start goes on from here", interruption)
        sys.exit(TERMINATED)
    finally:
        progress.close()
    if outcome.diagnosis and job.settings["on_collapse"] == "fail":
        raise InputError(f"{job.run}, seed {job.seed}: collapsed: {outcome.diagnosis}")
    logits = arm.logits(job.test.images)
    _write_history(arguments.history, outcome.history)
    _write_predictions(arguments.predictions, job.test, logits)
    arm.save_model(arguments.model)
    record = {
        **_facts(arguments, job, arm, outcome),
        "dataset": arguments.settings["dataset"]
        | {f"{name}_images": len(getattr(job, name)) for name in ("train", "validation", "test")}
        | {"sha256": {name: sums[name] for name in ("train", "validation", "test")}},
        "versions": libraries,
        "git": provenance.git_state(Path(__file__).parent),
        "started": started.isoformat(timespec="seconds"),
        # The time of resumed epochs counts, that of reading data and starting does too.
        "total_seconds": round(
            max(time.monotonic() - start, sum(row["seconds"] for row in outcome.history)), 3
        ),
    }
    record["weights"]["sha256"] = sums.get("weights")
    _write_json(arguments.provenance, record)
    store.clear()
    log.info(
        "kept epoch %d of %d, total time %s",
        outcome.chosen_epoch,
        len(outcome.history),
        duration(record["total_seconds"]),
    )


def _load(arguments: argparse.Namespace) -> Job:
    settings = arguments.settings
    return Job(
        run=settings["run"],
        seed=arguments.seed,
        architecture=ARCHITECTURES[settings["model"]],
        settings=settings["training"],
        train=splits.load(arguments.train),
        validation=splits.load(arguments.validation),
        test=splits.load(arguments.test),
        pretrained=weights.read(arguments.weights) if arguments.weights else {},
        net_normalisation=arguments.weights is not None,
        threads=arguments.threads,
        checkpoint_steps=arguments.checkpoint_steps,
    )


def _key(arguments: argparse.Namespace, job: Job, arm: Arm, sums: dict, libraries: dict) -> str:
    """A hash of all that determines the result. The test split does not: it is only predicted."""
    script = Path(sys.argv[0]).resolve()
    parts = {
        "settings": arguments.settings["training"],
        "model": job.architecture.name,
        "seed": job.seed,
        "inputs": {name: value for name, value in sums.items() if name != "test"},
        "versions": libraries,
        "precision": arm.precision.name,
        "device": arm.device,
        "threads": job.threads,
        "code": sources.checksums(script),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _facts(arguments: argparse.Namespace, job: Job, arm: Arm, outcome: Outcome) -> dict:
    settings = arguments.settings
    return {
        "run": job.run,
        "seed": job.seed,
        "framework": settings["framework"],
        "model": settings["model"],
        "weights": dict(settings["weights"]),
        "settings": job.settings,
        "precision": arm.precision.name,
        "matrix_product_gflops": arm.precision.gflops,
        "device": f"CPU ({provenance.processor()})" if arm.device == "cpu" else arm.device,
        "threads": job.threads,
        "parameters": sum(w.size for w in arm.weights().values()),
        "layers": architecture.describe(job.layers, job.input_size),
        "input_size": job.input_size_in(outcome.chosen_epoch),
        "epochs_run": len(outcome.history),
        "chosen_epoch": outcome.chosen_epoch,
        "status": "collapsed" if outcome.diagnosis else "completed",
        "diagnosis": outcome.diagnosis,
    }


def _write_history(path: Path, history: list[dict]) -> None:
    with written_atomically(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def _write_predictions(path: Path, split: Split, logits: np.ndarray) -> None:
    """A row a sample: `sample_id` int64, `label` int64, `logits` float32, one a class."""
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
        pq.write_table(table, temporary)


def _write_json(path: Path, value: dict) -> None:
    with written_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")
