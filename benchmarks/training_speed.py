"""One measurement of training speed, in a process of its own: prints a JSON object.

    python benchmarks/training_speed.py ours --framework pytorch --run pytorch-scratch
    python benchmarks/training_speed.py epochs --framework tensorflow --run tensorflow-pretrained
    python benchmarks/training_speed.py checkpoint --framework pytorch --run pytorch-scratch
    python benchmarks/training_speed.py tutorial --framework pytorch [--tuned]
    python benchmarks/training_speed.py steps --framework pytorch --tuned
    python benchmarks/training_speed.py peak --framework pytorch --precision bfloat16

`ours` is the speed of a run of the default study; `epochs` the time of all its epochs; `checkpoint` what
saving its state takes; `tutorial` the speed of the usual script beside this file, and `steps` that of
its training steps without their data; `peak` what the framework's matrix product reaches on the device
on which it trains.
"""

import argparse
import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from measuring import (
    FRAMEWORKS,
    STUDY_IMAGES,
    forward_operations,
    make_job,
    scratch_folder,
)
from twinbench import environment
from twinbench.backends.backend import Backend
from twinbench.recipe.schedule import Phase
from twinbench.training import run
from twinbench.training.checkpoint import Checkpoint, CheckpointStore
from twinbench.training.job import Job

WARM_UP = 3  # steps that do not count: the first ones build graphs and kernels
PEAK_SIZE = 4096
PEAK_SECONDS = 2.0


def ours(arguments: argparse.Namespace) -> dict:
    """Images and billions of operations per second of a run's last epoch, validation included."""
    job, backend = _make(arguments)
    seconds = _last_epoch(job, backend)
    forward = forward_operations(job.layers, job.input_size)
    operations = 3 * forward + forward * len(job.validation) / len(job.train)
    return {
        "images_per_second": 1 / seconds,
        "gflops": operations / seconds / 1e9,
        "device": backend.device,
        "precision": backend.precision,
        "batch_size": job.settings.batch_size,
    }


def epochs(arguments: argparse.Namespace) -> dict:
    """Seconds of all epochs of a run on the whole training split, from a few steps of each kind."""
    job, backend = _make(arguments)
    seconds = 0.0
    for phase in job.phases:
        backend.start_phase(phase)
        numbers = range(phase.first_epoch, phase.last_epoch + 1)
        for _, alike in groupby(numbers, job.input_size_in):
            first, *others = alike
            seconds += (1 + len(others)) * _seconds_per_image(job, backend, phase, first)
    return {"seconds": seconds * STUDY_IMAGES}


def checkpoint(arguments: argparse.Namespace) -> dict:
    """Seconds and megabytes of a checkpoint, and the fraction of the whole split's epoch it takes."""
    job, backend = _make(arguments)
    epoch = _last_epoch(job, backend) * STUDY_IMAGES
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as folder:
        store = CheckpointStore(Path(folder), "run")
        selected = backend.weights()
        seconds = _seconds(lambda: store.save(Checkpoint(backend.state() | selected, {})))
        megabytes = store.path.stat().st_size / 1e6
    return {"seconds": seconds, "megabytes": megabytes, "fraction": seconds / epoch}


def tutorial(arguments: argparse.Namespace) -> dict:
    script = _script(arguments)
    return _described(script, script.images_per_second(arguments.images, WARM_UP))


def steps(arguments: argparse.Namespace) -> dict:
    script = _script(arguments)
    return _described(script, script.steps_images_per_second(arguments.images, WARM_UP))


def _script(arguments: argparse.Namespace) -> Any:
    return importlib.import_module(f"tutorial_{arguments.framework}").Script(arguments.tuned)


def _described(script: Any, images_per_second: float) -> dict:
    return {
        "images_per_second": images_per_second,
        "device": script.device,
        "precision": script.precision,
        "batch_size": script.batch_size,
    }


def peak(arguments: argparse.Namespace) -> dict:
    """Billions of operations per second in products of square matrices."""
    prepare = {"pytorch": _pytorch_product, "tensorflow": _tensorflow_product}
    numbers = np.random.default_rng(0).random((PEAK_SIZE, PEAK_SIZE), np.float32)
    product = prepare[arguments.framework](numbers, arguments.precision, arguments.threads)

    def multiply(count: int) -> None:
        for _ in range(count):
            result = product()
        float(result[0, 0])  # waits for a GPU

    multiply(1)
    count, seconds = 1, _seconds(multiply, 1)
    while seconds < PEAK_SECONDS:
        count *= 2
        seconds = _seconds(multiply, count)
    return {"gflops": 2 * PEAK_SIZE**3 * count / seconds / 1e9}


def _make(arguments: argparse.Namespace) -> tuple[Job, Backend]:
    """A run as a training job prepares it."""
    changes = {"precision": arguments.precision}
    if arguments.batch_size:
        changes["batch_size"] = arguments.batch_size
    job = make_job(arguments.run, arguments.images, arguments.threads, **changes)
    return job, run.make(job, arguments.framework)


def _last_epoch(job: Job, backend: Backend) -> float:
    """Seconds per training image of the last epoch, with a fresh optimiser."""
    phase = job.phases[-1]
    backend.start_phase(phase)
    return _seconds_per_image(job, backend, phase, phase.last_epoch)


def _seconds_per_image(job: Job, backend: Backend, phase: Phase, epoch: int) -> float:
    """Seconds of an epoch for each training image: the plan, the steps, and the validation."""
    start = time.perf_counter()
    plan = job.plan(phase, epoch)
    planning = (time.perf_counter() - start) / plan.order.size
    backend.input_size = plan.input_size
    backend.start_epoch(plan, 0)
    backend.train(0, WARM_UP)
    training = _seconds(backend.train, WARM_UP, plan.steps) / (
        plan.order.size * (1 - WARM_UP / plan.steps)
    )
    backend.logits(job.validation.images)  # builds what evaluation needs
    validation = _seconds(backend.logits, job.validation.images) / len(job.train)
    return planning + training + validation


def _pytorch_product(numbers: np.ndarray, precision: str, threads: int) -> Callable:
    import torch

    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    matrix = torch.from_numpy(numbers).to(device, getattr(torch, precision))
    return lambda: matrix @ matrix


def _tensorflow_product(numbers: np.ndarray, precision: str, threads: int) -> Callable:
    import twinbench.backends.tensorflow  # noqa: F401, as in training: finds the GPU's libraries, too

    import tensorflow as tf  # isort: skip

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.experimental.enable_tensor_float_32_execution(False)  # as in training
    matrix = tf.cast(numbers, precision)
    return lambda: tf.matmul(matrix, matrix)


def _seconds(work: Callable, *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


MEASUREMENTS = {each.__name__: each for each in (ours, epochs, checkpoint, tutorial, steps, peak)}


def main() -> None:
    environment.enter("--framework")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measurement", choices=MEASUREMENTS)
    parser.add_argument("--run", default="pytorch-scratch", help="a run of the default study")
    parser.add_argument("--framework", choices=FRAMEWORKS, required=True, help="the run's")
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--batch-size", type=int, help="default: the run's")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precision", default="auto")
    parser.add_argument(
        "--tuned", action="store_true", help="the tutorial's in bfloat16, batch 128"
    )
    arguments = parser.parse_args()
    print(json.dumps(MEASUREMENTS[arguments.measurement](arguments)))


if __name__ == "__main__":
    main()
