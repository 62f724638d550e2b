"""The parity ladder: what each framework measures of itself, so that twins can be compared.

A framework measures its quantities in a process and an environment of its own and writes them to one
file; `twinbench.analysis.ladder` compares the files. All is measured in float32, on the study's own
images, weights and settings, with small batches and few steps.
"""

import argparse
import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from twinbench import command, devices, protocol, splits, weights
from twinbench.architecture import (
    ARCHITECTURES,
    HEAD,
    Architecture,
    Flatten,
    kernel_shape,
    shapes,
)
from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.job import Job
from twinbench.memory import keep_freed_memory
from twinbench.protocol import Phase, Weights
from twinbench.splits import Split
from twinbench.training import Arm

log = logging.getLogger(__name__)

BATCH = 8
ADAM_STEPS = 20
# On the study's rate, for the loss curve: at the rate itself, training multiplies a rounding error about
# 1.5 times a step, in one framework as well as between two, until nothing can be told from it. Of a
# rate of 0.003, a hundredth left the scratch twins 0.016 of the loss apart in 100 steps, this 0.0014.
RATE = 0.003
_PIXEL_BATCHES = 2  # batches whose pixels are compared
_EVALUATED = 128  # validation images whose logits are compared
_LIBRARY_IMAGES = 4  # images that go through the library's own preprocessing and net
_LARGE = 2_000_000  # entries of a tensor, above which the updates alone are not measured on it
_SAMPLED = 1 << 14  # entries of each tensor that are kept
# Rounding now and then moves a maximum of a pooling window to another pixel, or a unit across zero, and
# with it a gradient: such a batch tells nothing of the twins, and on CIFAR-10 about one in ten
# is one at 32 pixels. At 64, seven of eight of VGG16's are, at 96 all.
GRADIENT_BATCHES = 4

Quantities = dict[str, np.ndarray]


@dataclass(frozen=True)
class Setting:
    """One fact that could make twins differ: `value` in common words, `own` in the framework's."""

    value: str
    own: str


def normalisation_setting(job: Job, own: str) -> Setting:
    """The channels' order, means and deviations, as a job has them and `own` applies them."""
    chosen = job.normalisation
    numbers = np.concatenate([chosen.mean, chosen.deviation]).astype(np.float32)
    order = "".join("RGB"[channel] for channel in chosen.channels)
    return Setting(f"{order}: {', '.join(f'{number:g}' for number in numbers)}", own)


class Measurable(Arm, Protocol):
    """What the ladder asks of an arm beyond what a training does."""

    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What the steps train on: float32 (batch, height, width, 3) and labels int64 (batch,)."""

    def loss_and_gradients(self, phase: Phase, epoch: int, step: int) -> tuple[float, Weights]:
        """Of a training step at the present weights, which stay: the trained tensors' gradients."""

    def update(self, phase: Phase, epoch: int, step: int, gradients: Weights) -> None:
        """Take the optimiser's step with given gradients of the trained tensors."""

    def describe(self) -> dict[str, Setting]:
        """Every setting that could make twins differ, read from the objects in use."""


@dataclass(frozen=True)
class Reference:
    """What a library makes of images itself: its `pixels` float32 (n, height, width, 3), and the
    `features` (n, units) that its own net hands to the head."""

    pixels: np.ndarray
    features: np.ndarray


# From (net, official file, uint8 images, side in pixels): None if the library has no such net.
Library = Callable[[str, Path, np.ndarray, int], Reference | None]


@dataclass(frozen=True)
class Twin:
    """A net with its starting weights that the study trains; here every framework does."""

    name: str
    model: str
    training: dict
    steps: int
    weights: Path | None
    official: Path | None


def parser(description: str | None) -> argparse.ArgumentParser:
    result = command.parser(
        description, settings=json.loads, threads=int, train=Path, validation=Path, output=Path
    )
    result.add_argument(
        "--weights", nargs="*", type=Path, default=[], help="framework-free weights, a file a twin"
    )
    result.add_argument(
        "--official", nargs="*", type=Path, default=[], help="the official files of these"
    )
    exchange = result.add_mutually_exclusive_group(required=True)
    exchange.add_argument("--trained-output", type=Path, help="file for the trained weights")
    exchange.add_argument("--trained", type=Path, help="the first framework's trained weights")
    return result


def execute(
    arguments: argparse.Namespace,
    framework: str,
    make_arm: Callable[[Job], Measurable],
    library: Library,
) -> None:
    """Measure every twin of the study with one framework and write the quantities."""
    with devices.leased(arguments.settings["twins"][0]["training"]["device"]):
        _execute(arguments, framework, make_arm, library)


def _execute(
    arguments: argparse.Namespace,
    framework: str,
    make_arm: Callable[[Job], Measurable],
    library: Library,
) -> None:
    keep_freed_memory()
    train, validation = splits.load(arguments.train), splits.load(arguments.validation)
    quantities: Quantities = {}
    trained: Weights = {}
    settings = {}
    for twin in _twins(arguments):
        log.info("%s: measuring %s", framework, twin.name)
        job = ladder_job(twin, train, validation, arguments.settings["seed"], arguments.threads)
        given = _read_trained(arguments.trained, twin.name) if arguments.trained else None
        found, result = measure(job, make_arm, given, twin.steps)
        if twin.official:
            found |= measure_library(job, make_arm, library, twin.official)
        quantities |= {f"{twin.name}:{name}": value for name, value in found.items()}
        settings[twin.name] = {
            name: [setting.value, setting.own]
            for name, setting in describe(job, twin.training, make_arm).items()
        }
        if arguments.trained_output:
            trained |= {f"{twin.name}:{name}": value for name, value in result.items()}
    description = {
        "framework": framework,
        "settings": settings,
    }
    with written_atomically(arguments.output) as temporary:
        # One key of metadata alone: safetensors writes several in random order.
        quantities = {name: np.ascontiguousarray(value) for name, value in quantities.items()}
        save_file(quantities, temporary, {"parity": json.dumps(description, sort_keys=True)})
    if arguments.trained_output:
        with written_atomically(arguments.trained_output) as temporary:
            save_file(trained, temporary)


def _twins(arguments: argparse.Namespace) -> list[Twin]:
    """The twins of the settings; those with weights take the files in their order."""
    weights_files, official_files = iter(arguments.weights), iter(arguments.official)
    twins = []
    for twin in arguments.settings["twins"]:
        scratch = twin["weights"] == "none"
        files = (None, None) if scratch else (next(weights_files), next(official_files))
        twins.append(Twin(twin["name"], twin["model"], twin["training"], twin["steps"], *files))
    return twins


def _read_trained(file: Path, twin: str) -> Weights:
    with safe_open(file, framework="numpy") as tensors:
        names = [name for name in tensors.keys() if name.startswith(f"{twin}:")]  # noqa: SIM118
        if not names:
            raise InputError(f"{file}: no weights of {twin}; delete the file and run again")
        return {name.split(":", 1)[1]: tensors.get_tensor(name) for name in names}


# --- Jobs --------------------------------------------------------------------------------------


def ladder_job(twin: Twin, train: Split, validation: Split, seed: int, threads: int) -> Job:
    """The study's training of a twin, shrunk to `twin.steps` steps of `BATCH` images, without dropout.

    The whole net is trained from the first step on, under a random head: below one of zeros there is
    no gradient. Rates, schedule, augmentation, decay and frozen layers are the study's.
    """
    used = min(len(train), BATCH * twin.steps)
    steps = protocol.steps_per_epoch(used, BATCH)
    settings = {
        **twin.training,
        "protocol": "harmonised",
        "precision": "float32",
        "batch_size": BATCH,
        "epochs": math.ceil(twin.steps / steps),
        "dropout": 0.0,
        "head": {"epochs": 0, "initialisation": "random"},
        "progressive_resizing": {"epochs": 0},
        "cached_views": 0,
    }
    return Job(
        run=twin.name,
        seed=seed,
        architecture=ARCHITECTURES[twin.model],
        settings=settings,
        train=_first(train, used),
        validation=_first(validation, _EVALUATED),
        test=_first(validation, 0),
        pretrained=weights.read(twin.weights) if twin.weights else {},
        net_normalisation=twin.weights is not None,
        threads=threads,
    )


def _first(split: Split, count: int) -> Split:
    return replace(
        split,
        images=split.images[:count],
        labels=split.labels[:count],
        sample_ids=split.sample_ids[:count],
    )


def marker_job(job: Job) -> Job:
    """The job with images that spell their own index, and a net of next to no weights."""
    index = np.arange(len(job.train))
    digits = np.stack([index // 65536, index // 256 % 256, index % 256], axis=1).astype(np.uint8)
    images = np.broadcast_to(digits[:, None, None], job.train.images.shape)
    net = Architecture("marker", "Marker", (Flatten("flatten"),), "dataset", 32, 32, False)
    return replace(
        job,
        architecture=net,
        settings={
            **job.settings,
            "input_size": job.image_size,
            "frozen": [],
            "rate_factors": {},
            "augmentation": {**job.settings["augmentation"], "fill": "nearest"},
        },
        train=replace(
            job.train,
            images=np.ascontiguousarray(images),
            mean=np.zeros(3),
            std=np.full(3, 1 / 255),  # so that pixels pass as they are
        ),
        pretrained={},
        net_normalisation=False,
    )


def gradient_job(job: Job, dropout: float) -> Job:
    """The job with so much dropout, on the smallest images that its weights serve.

    The more pixels, the fewer batches are free of moved maxima; see `GRADIENT_BATCHES`.
    """
    net = job.architecture
    size = net.smallest_input if net.takes_any_size else job.input_size
    return replace(job, settings={**job.settings, "dropout": dropout, "input_size": size})


def library_job(job: Job, images: int) -> Job:
    """The job on a few plain images, with a class for each unit that the net hands to its head."""
    units = kernel_shape(*list(shapes(job.layers, job.input_size))[-1][:2])[0]
    plain = {
        "rotation_degrees": 0,
        "shift_fraction": 0,
        "scale_fraction": 0,
        "horizontal_flip": False,
    }
    return replace(
        job,
        train=replace(
            _first(job.validation, images), class_names=[str(unit) for unit in range(units)]
        ),
        settings={
            **job.settings,
            "batch_size": images,
            "augmentation": {**job.settings["augmentation"], **plain},
        },
    )


# --- Quantities --------------------------------------------------------------------------------


def measure(
    job: Job, make_arm: Callable[[Job], Measurable], trained: Weights | None, steps: int
) -> tuple[Quantities, Weights]:
    """A twin's quantities, and the weights after the last step (float16).

    `trained` are such weights of the first framework, with which all are evaluated; None for itself.
    """
    (phase,) = protocol.phases(job.settings, job.architecture)
    found: Quantities = {"sample order": sample_order(make_arm(marker_job(job)), job)}
    arm = make_arm(job)
    arm.start_phase(phase)
    initial = arm.weights()
    found["initial weights"] = _digests(initial)
    batches = arm.batches(1, 0)
    inputs = [next(batches)[0] for _ in range(min(_PIXEL_BATCHES, job.steps_per_epoch))]
    found["augmented pixels"] = np.concatenate(inputs)
    found["forward"] = arm.logits(job.validation.images)
    found |= adam_steps(arm, job, phase, initial)
    arm.set_weights(initial)
    gentle = replace(phase, learning_rate=RATE * phase.learning_rate)
    arm.start_phase(gentle)
    found["loss curve"] = loss_curve(arm, job, gentle, steps)
    after = {name: value.astype(np.float16) for name, value in arm.weights().items()}
    found["evaluation"] = _evaluated(arm, job, after if trained is None else trained)
    del arm
    for prefix, dropout in (("", 0.0), ("dropout ", _DROPOUT)):
        arm = make_arm(gradient_job(job, dropout))
        arm.start_phase(phase)
        found |= _steps(arm, phase, prefix)
    return found, after


_DROPOUT = 0.5


def sample_order(arm: Measurable, job: Job) -> np.ndarray:
    """The images of each step of two epochs, as the arm feeds them: int64 (2, steps, batch)."""
    epochs = []
    for epoch in (1, 2):
        for inputs, _ in arm.batches(epoch, 0):
            digits = np.rint(inputs[:, job.image_size // 2, job.image_size // 2]).astype(np.int64)
            epochs.append(digits @ [65536, 256, 1])
    return np.stack(epochs)


def _steps(arm: Measurable, phase: Phase, prefix: str) -> Quantities:
    """Loss and gradients of some batches, all at the present weights."""
    found: Quantities = {}
    losses = []
    for step in range(GRADIENT_BATCHES):
        loss, gradients = arm.loss_and_gradients(phase, 1, step)
        losses.append(loss)
        found |= _tensors(f"{prefix}gradients of batch {step + 1}", gradients)
    return found | {f"{prefix}loss": np.array(losses)}


class _Enough(Exception):
    pass


def adam_steps(arm: Measurable, job: Job, phase: Phase, initial: Weights) -> Quantities:
    """The change of the weights after 1 and `ADAM_STEPS` updates with the same drawn gradients.

    Adam works entry by entry, so that layers of millions of entries would only cost time.
    """
    found: Quantities = {}
    large = {name.split("/")[0] for name, value in initial.items() if value.size > _LARGE}
    factors = {name: 0.0 if name in large else factor for name, factor in phase.factors.items()}
    phase = replace(phase, factors=factors)
    arm.start_phase(phase)
    base = {
        name: _drawn_gradient(index, value.shape)
        for index, (name, value) in enumerate(sorted(initial.items()))
        if phase.trained(name.split("/")[0]) and not name.endswith(("/mean", "/variance"))
    }
    signs = np.random.default_rng(0).normal(size=ADAM_STEPS).astype(np.float32)
    for step, sign in enumerate(signs):
        arm.update(phase, 1, step, {name: sign * value for name, value in base.items()})
        if step + 1 in (1, ADAM_STEPS):
            after = arm.weights()
            change = {name: after[name] - initial[name] for name in base}
            found |= _tensors(f"change {step + 1}", change)
    return found


def _drawn_gradient(index: int, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of either sign from 1e-9 to 0.1: Adam's epsilon counts for some and not for others."""
    random = np.random.default_rng(index)
    magnitude = np.exp(random.random(shape, np.float32) * np.float32(np.log(1e8))) * 1e-9
    return (magnitude * random.choice(np.array([-1, 1], np.float32), shape)).astype(np.float32)


def loss_curve(arm: Measurable, job: Job, phase: Phase, steps: int) -> np.ndarray:
    """Train so many steps; the loss of each."""
    losses: list[float] = []
    before = 0.0

    def after_step(done: int) -> None:
        nonlocal before
        total = arm.means(done)[0] * done
        losses.append(total - before)
        before = total
        if len(losses) == steps:
            raise _Enough

    try:
        for epoch in range(1, job.settings["epochs"] + 1):
            before = 0.0
            arm.train_epoch(phase, epoch, 0, 1.0, after_step)
    except _Enough:
        pass
    return np.array(losses)


def _evaluated(arm: Measurable, job: Job, trained: Weights) -> np.ndarray:
    arm.set_weights({name: value.astype(np.float32) for name, value in trained.items()})
    return arm.logits(job.validation.images)


def describe(job: Job, training: dict, make_arm: Callable[[Job], Measurable]) -> dict[str, Setting]:
    """The settings in use with the study's own precision and dropout, in the phase of all layers."""
    own = {name: training[name] for name in ("precision", "dropout")}
    job = replace(job, settings={**job.settings, **own})
    (phase,) = protocol.phases(job.settings, job.architecture)
    arm = make_arm(job)
    arm.start_phase(phase)
    return arm.describe()


def measure_library(
    job: Job, make_arm: Callable[[Job], Measurable], library: Library, official: Path
) -> Quantities:
    """Preprocessing and converted weights: the arm's, and the library's own where it has the net."""
    job = library_job(job, min(_LIBRARY_IMAGES, len(job.validation)))
    images = job.train.images
    arm = make_arm(job)
    # A head that passes its inputs on: then the logits are what the net hands to it.
    head = {
        f"{HEAD}/kernel": np.eye(job.classes, dtype=np.float32),
        f"{HEAD}/bias": np.zeros(job.classes, np.float32),
    }
    arm.set_weights(arm.weights() | head)
    inputs, _ = next(arm.batches(1, 0))
    pixels = np.empty_like(inputs)
    pixels[protocol.sample_order(job.seed, 1, len(images), len(images))[0]] = inputs
    found = {"features": arm.logits(images), "pixels": pixels}
    reference = library(job.architecture.name, official, images, job.input_size)
    if reference is not None:
        found |= {"library features": reference.features, "library pixels": reference.pixels}
    return found


def _digests(tensors: Weights) -> np.ndarray:
    """The SHA-256 of each tensor in the order of the names: uint8 (tensors, 32)."""
    return np.stack(
        [
            np.frombuffer(hashlib.sha256(tensors[name].tobytes()).digest(), np.uint8)
            for name in sorted(tensors)
        ]
    )


def _tensors(quantity: str, tensors: Weights) -> Quantities:
    """The tensors as `quantity/name`; of large ones the same random entries in every framework."""
    return {f"{quantity}/{name}": _sample(value) for name, value in tensors.items()}


def _sample(tensor: np.ndarray) -> np.ndarray:
    if tensor.size <= _SAMPLED:
        return np.ravel(tensor)
    chosen = np.random.default_rng(tensor.size).integers(tensor.size, size=_SAMPLED)
    return np.ravel(tensor)[chosen]
