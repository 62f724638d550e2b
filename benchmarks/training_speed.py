"""One measurement of training speed, in a process of its own: prints an object in JSON.

    python benchmarks/training_speed.py ours --run pytorch-scratch
    python benchmarks/training_speed.py tutorial --framework pytorch
    python benchmarks/training_speed.py peak --framework pytorch --precision bfloat16
    python benchmarks/training_speed.py frozen --framework tensorflow --cached-views 3
    python benchmarks/training_speed.py whole --run tensorflow-pretrained --precision float32

`ours` is a run of the default study: augmentation, step, validation; `tutorial` the usual script beside
this file; `peak` what the framework's matrix product reaches here; `frozen` all epochs of a run of which
only the last block of layers is trained, with or without a cache of what the others make of the images;
`whole` all epochs of a run of the default study.
"""

import argparse
import importlib
import json
import os
import time
from collections import Counter

from measuring import STUDY_IMAGES, forward_operations, make_arm, make_job
from twinbench import protocol
from twinbench.feature_cache import first_computed_layer
from twinbench.job import Job
from twinbench.memory import keep_freed_memory
from twinbench.parity import Measurable
from twinbench.protocol import Phase

WARM_UP = 3  # steps that are not counted: the first ones build graphs and kernels
PEAK_SIDE = 4096
PEAK_SECONDS = 3.0


def ours(arguments: argparse.Namespace) -> dict:
    """Images a second of a run, whole and in parts, and its operations a second."""
    changes = {"precision": arguments.precision}
    if arguments.batch_size:
        changes["batch_size"] = arguments.batch_size
    job = make_job(arguments.run, arguments.images, arguments.threads, **changes)
    keep_freed_memory()
    arm = make_arm(arguments.framework, job)
    phase = protocol.phases(job.settings, job.architecture)[-1]
    arm.start_phase(phase)
    batch, steps = job.settings["batch_size"], job.steps_per_epoch
    times = {}
    arm.train_epoch(phase, 1, 0, 1.0, lambda done: times.update({done: time.perf_counter()}))
    training = (times[steps] - times[WARM_UP]) / (steps - WARM_UP) / batch
    arm.logits(job.validation.images)  # builds what evaluation needs
    validation = _seconds(lambda: arm.logits(job.validation.images)) / len(job.validation)
    batches = arm.batches(2, 0)
    next(batches)
    augmentation = _seconds(lambda: [next(batches) for _ in range(WARM_UP)]) / WARM_UP / batch
    whole = training + validation * len(job.validation) / len(job.train)
    forward = forward_operations(job.layers, job.input_size)
    operations = 3 * forward + forward * len(job.validation) / len(job.train)
    return {
        "images_per_second": 1 / whole,
        "step_images_per_second": 1 / training,
        "augmentation_share": augmentation / training,
        "gflops": operations / whole / 1e9,
        "precision": arm.precision.name,
        "batch_size": batch,
    }


def frozen(arguments: argparse.Namespace) -> dict:
    """Seconds of ten epochs of VGG16 at 64 pixels with its last block trained."""
    changes = {
        "input_size": 64,
        "progressive_resizing": {"epochs": 0, "input_size": 32},
        "frozen": ["block1", "block2", "block3", "block4"],
        "head": {"epochs": 0, "learning_rate": 0.001, "initialisation": "auto"},
        "epochs": 10,
    }
    return _all_epochs(arguments, "tensorflow-pretrained", changes)


def whole(arguments: argparse.Namespace) -> dict:
    """Seconds of all epochs of a run of the default study, validation included."""
    return _all_epochs(arguments, arguments.run, {})


def _all_epochs(arguments: argparse.Namespace, run: str, changes: dict) -> dict:
    """Seconds of a run's epochs on the whole split, from epochs of a few images."""
    if arguments.cached_views is not None:
        changes = changes | {"cached_views": arguments.cached_views}
    changes = changes | {"precision": arguments.precision}
    job = make_job(run, arguments.images, arguments.threads, **changes)
    keep_freed_memory()
    arm = make_arm(arguments.framework, job)
    seconds = sum(
        _phase_seconds(job, arm, phase) for phase in protocol.phases(job.settings, job.architecture)
    )
    return {"seconds": seconds * STUDY_IMAGES / (job.steps_per_epoch * job.settings["batch_size"])}


def _phase_seconds(job: Job, arm: Measurable, phase: Phase) -> float:
    arm.start_phase(phase)

    def epoch(number: int) -> float:
        training = _seconds(lambda: arm.train_epoch(phase, number, 0, 1.0, lambda done: None))
        return training + _seconds(lambda: arm.logits(job.validation.images))

    first, views = phase.first_epoch, job.settings["cached_views"]
    epochs = range(first, phase.last_epoch + 1)
    if first_computed_layer(job, phase):
        epoch(first)  # builds graphs and kernels
        filling, reading = epoch(first + 1), epoch(first + 1 + views)
        return views * filling + (len(epochs) - views) * reading
    total = 0.0
    for size, count in Counter(job.input_size_in(number) for number in epochs).items():
        arm.input_size = size
        epoch(first)
        total += count * epoch(first + 1)
    return total


def tutorial(arguments: argparse.Namespace) -> dict:
    script = importlib.import_module(f"tutorial_{arguments.framework}")
    rate = script.images_per_second(arguments.images, WARM_UP)
    return {"images_per_second": rate, "batch_size": script.BATCH}


def peak(arguments: argparse.Namespace) -> dict:
    """Billions of operations a second in products of square matrices."""
    multiply = _multiplier(arguments.framework, arguments.precision, arguments.threads)
    multiply()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < PEAK_SECONDS:
        multiply()
        count += 1
    return {"gflops": 2 * PEAK_SIDE**3 * count / (time.perf_counter() - start) / 1e9}


MEASUREMENTS = {each.__name__: each for each in (ours, tutorial, peak, frozen, whole)}


def _multiplier(framework: str, precision: str, threads: int):
    if framework == "pytorch":
        import torch

        torch.set_num_threads(threads)
        matrix = torch.randn(PEAK_SIDE, PEAK_SIDE, dtype=getattr(torch, precision))
        return lambda: matrix @ matrix
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    matrix = tf.cast(tf.random.normal((PEAK_SIDE, PEAK_SIDE)), precision)
    return lambda: tf.matmul(matrix, matrix).numpy()


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=MEASUREMENTS)
    parser.add_argument("--run", default="pytorch-scratch", help="a run of the default study")
    parser.add_argument("--framework", choices=("pytorch", "tensorflow"), help="the run's own")
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--batch-size", type=int, help="the run's own if it is not given")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cached-views", type=int, help="the run's own if it is not given")
    arguments = parser.parse_args()
    arguments.framework = arguments.framework or arguments.run.split("-")[0]
    print(json.dumps(MEASUREMENTS[arguments.what](arguments)))


if __name__ == "__main__":
    main()
