"""The parity suite's measurements: what each backend measures of itself.

A backend measures its quantities in a process and an environment of its own and writes them to one file;
`parity.comparing` compares the files. Everything is measured in float32, on the study's own images,
weights and settings, with small batches and few steps.
"""

import argparse
import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from twinbench import cli, tensor_files
from twinbench.backends import backend_module, supported_gpus
from twinbench.backends.backend import Backend
from twinbench.config.training import Training
from twinbench.data import splits
from twinbench.data.splits import Split
from twinbench.networks import weights
from twinbench.networks.architectures import (
    ARCHITECTURES,
    HEAD,
    Architecture,
    Flatten,
    kernel_shape,
    shapes,
)
from twinbench.networks.weights import Weights
from twinbench.parity.settings import Case, ParitySettings
from twinbench.recipe.epoch_plan import EpochPlan, sample_order, steps_per_epoch
from twinbench.recipe.schedule import Phase
from twinbench.training import devices
from twinbench.training.job import Job
from twinbench.training.memory import keep_freed_memory
from twinbench.training.run import add_jobs_per_gpu

log = logging.getLogger(__name__)

BATCH = 8
ADAM_STEPS = 20
LOSS_STEPS = 30
# Learning-rate scale of the loss-curve check: at the full learning rate rounding errors grow about
# 1.5x per step, within one framework as between two, and hide everything else. At a hundredth of it
# the losses of the scratch twins differ by 0.016 after 100 steps, at this by 0.0014.
LOSS_CURVE_SCALE = 0.003
_DROPOUT = 0.5  # in the checks with dropout
_PIXEL_BATCHES = 2  # batches whose pixels are compared
_EVALUATED = 128  # validation images whose logits are compared
_LIBRARY_IMAGES = 4  # images that go through the library's own preprocessing and network
_LARGE = 2_000_000  # entries of a tensor, above which it is left out of the check of Adam
_SAMPLED = 1 << 14  # entries of each tensor that are kept
# Rounding sometimes moves the maximum of a pooling window to another pixel, or a unit across zero, and
# with it a gradient. Such a batch says nothing about the twins. On CIFAR-10 about one batch in ten is
# affected at 32 pixels; at 64 pixels seven of eight of VGG16's, at 96 all.
GRADIENT_BATCHES = 4

Quantities = dict[str, np.ndarray]


class Setting(NamedTuple):
    """A setting that could make twins differ: `value` in common words, `own` in the framework's."""

    value: str
    own: str


def normalisation_setting(job: Job, own: str) -> Setting:
    """The channels' order, mean and std, as a job has them and `own` applies them."""
    used = job.normalisation
    numbers = np.concatenate([used.mean, used.std]).astype(np.float32)
    order = "".join("RGB"[channel] for channel in used.channels)
    return Setting(f"{order}: {'; '.join(f'{number:g}' for number in numbers)}", own)


class ParityBackend(Backend, Protocol):
    """What the suite asks of a backend beyond what a training does."""

    def batch(self, plan: EpochPlan, step: int) -> tuple[np.ndarray, np.ndarray]:
        """What a step trains on: float32 (batch, height, width, 3) and labels int64 (batch,)."""

    def loss_and_gradients(self, plan: EpochPlan, step: int) -> tuple[float, Weights]:
        """Loss and gradients of one step; the weights are not updated."""

    def update(self, plan: EpochPlan, step: int, gradients: Weights) -> None:
        """Take the optimiser's step with given gradients of the trained tensors."""

    def describe(self) -> dict[str, Setting]:
        """Every setting that could make twins differ, read from the objects in use."""


MakeBackend = Callable[[Job], ParityBackend]


@dataclass(frozen=True)
class LibraryReference:
    """What a library makes of images itself: its `pixels` float32 (n, height, width, 3), and the
    `features` (n, units) that its own network passes to the head."""

    pixels: np.ndarray
    features: np.ndarray


# A backend's `library_reference(architecture, published file, uint8 images, image size in pixels)`.
Library = Callable[[Architecture, Path, np.ndarray, int], LibraryReference]


def parser(description: str | None) -> argparse.ArgumentParser:
    result = cli.parser(
        description, backend=str, threads=int, train=Path, validation=Path, output=Path
    )
    result.add_argument(
        "--weights",
        nargs="*",
        type=Path,
        default=[],
        help="framework-free weights, one file for each case that starts from some, in their order",
    )
    result.add_argument("--library", nargs="*", type=Path, default=[], help="their library files")
    add_jobs_per_gpu(result)
    cli.add_settings(result, ParitySettings)
    cli.add_name(result, lambda arguments: f"parity checks in {arguments.backend}")
    return result


def execute(arguments: argparse.Namespace) -> None:
    """Measure every case of the study with one backend and write the quantities."""
    settings: ParitySettings = arguments.settings
    device = next(iter(settings.cases.values())).training.device
    supported = supported_gpus(arguments.backend)
    with devices.leased(device, arguments.jobs_per_gpu, supported=supported) as lease:
        accelerator = backend_module(arguments.backend, "accelerator").accelerator()
        devices.check(lease, device, accelerator.name if accelerator else "cpu")
        _execute(arguments, settings)


def _execute(arguments: argparse.Namespace, settings: ParitySettings) -> None:
    keep_freed_memory()
    backend = backend_module(arguments.backend, "parity")
    train, validation = splits.load(arguments.train), splits.load(arguments.validation)
    pretrained = [name for name, case in settings.cases.items() if case.weights != "none"]
    weights_files = dict(zip(pretrained, arguments.weights, strict=True))
    published_files = dict(zip(pretrained, arguments.library, strict=True))
    quantities: Quantities = {}
    described = {}
    for name, case in settings.cases.items():
        log.info("measuring %s", name)
        file = weights_files.get(name)
        job = parity_job(name, case, file, train, validation, settings.seed, arguments.threads)
        found = measure(job, backend.ParityBackend)
        published = job.architecture.published
        if published and name in published_files:
            own = published.backend == arguments.backend and published.library_name is not None
            library = backend.library_reference if own else None
            found |= measure_library(job, backend.ParityBackend, library, published_files[name])
        quantities |= {f"{name}:{quantity}": value for quantity, value in found.items()}
        settings_in_use = describe(job, case.training, backend.ParityBackend)
        described[name] = dict(sorted(settings_in_use.items()))
    facts = {"framework": arguments.backend, "settings": described}
    tensor_files.write(arguments.output, quantities, facts)


# --- Jobs --------------------------------------------------------------------------------------


def parity_job(
    name: str,
    case: Case,
    weights_file: Path | None,
    train: Split,
    validation: Split,
    seed: int,
    threads: int,
) -> Job:
    """The study's training of a case, shrunk to `LOSS_STEPS` steps of `BATCH` images, without dropout.

    All layers are trained from the first step on, under a random head: below a head of zeros there is no
    gradient. Learning rates, schedule, augmentation, weight decay and frozen layers are the study's.
    """
    architecture, used = ARCHITECTURES[case.model], min(len(train), BATCH * LOSS_STEPS)
    settings = case.training.changed(
        protocol="harmonised",
        precision="float32",
        batch_size=BATCH,
        epochs=math.ceil(LOSS_STEPS / steps_per_epoch(used, BATCH)),
        dropout=0.0,
        head={"epochs": 0, "initialisation": "random"},
        progressive_resizing={"epochs": 0},
    )
    return Job(
        run=name,
        seed=seed,
        architecture=architecture,
        settings=settings,
        train=_first(train, used),
        validation=_first(validation, _EVALUATED),
        test=_first(validation, 0),
        pretrained=weights.read(weights_file, architecture) if weights_file else {},
        published_normalisation=weights_file is not None,
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
    """The job with images that spell their own index, and a network with hardly any weights."""
    index = np.arange(len(job.train))
    digits = np.stack([index // 65536, index // 256 % 256, index % 256], axis=1).astype(np.uint8)
    images = np.broadcast_to(digits[:, None, None], job.train.images.shape)
    return replace(
        job,
        architecture=Architecture("marker", "Marker", (Flatten("flatten"),), 32),
        settings=job.settings.changed(
            input_size=job.image_size,
            frozen=[],
            learning_rate_multipliers={},
            augmentation={"fill": "nearest"},
        ),
        train=replace(
            job.train,
            images=np.ascontiguousarray(images),
            mean=np.zeros(3),
            std=np.full(3, 1 / 255),  # so that pixels pass unchanged
        ),
        pretrained={},
        published_normalisation=False,
    )


def gradient_job(job: Job, dropout: float) -> Job:
    """The job with this dropout, on the smallest images that its weights serve.

    The more pixels, the fewer batches are free of moved maxima; see `GRADIENT_BATCHES`.
    """
    network = job.architecture
    size = network.smallest_input if network.takes_any_size else job.input_size
    return replace(job, settings=job.settings.changed(dropout=dropout, input_size=size))


def library_job(job: Job, images: int) -> Job:
    """The job on a few plain images, with one class for each unit that is passed to the head."""
    shape = kernel_shape(*list(shapes(job.layers, job.input_size))[-1][:2])
    assert shape is not None
    plain = {
        "rotation_degrees": 0,
        "shift_fraction": 0,
        "scale_fraction": 0,
        "horizontal_flip": False,
    }
    return replace(
        job,
        train=replace(
            _first(job.validation, images), class_names=[str(unit) for unit in range(shape[0])]
        ),
        settings=job.settings.changed(batch_size=images, augmentation=plain),
    )


# --- Quantities --------------------------------------------------------------------------------


def measure(job: Job, make_backend: MakeBackend) -> Quantities:
    """A case's quantities."""
    (phase,) = job.phases
    found: Quantities = {"sample order": observed_order(make_backend(marker_job(job)), job)}
    backend = make_backend(job)
    backend.start_phase(phase)
    initial = backend.weights()
    found["initial weights"] = _digests(initial)
    plan = job.plan(phase, 1)
    batches = range(min(_PIXEL_BATCHES, plan.steps))
    found["augmented pixels"] = np.concatenate([backend.batch(plan, step)[0] for step in batches])
    found["forward"] = backend.logits(job.validation.images)
    found |= adam_steps(backend, job, phase, initial)
    backend.set_weights(initial)
    gentle = replace(phase, learning_rate=LOSS_CURVE_SCALE * phase.learning_rate)
    backend.start_phase(gentle)
    found["loss curve"] = loss_curve(backend, job, gentle)
    backend.set_weights(changed_weights(initial))
    found["evaluation"] = backend.logits(job.validation.images)
    del backend
    for prefix, dropout in (("", 0.0), ("dropout ", _DROPOUT)):
        found |= _gradients(gradient_job(job, dropout), make_backend, prefix)
    return found


def observed_order(backend: ParityBackend, job: Job) -> np.ndarray:
    """The images of each step of two epochs, as `backend` of a marker job feeds them: int64
    (2, steps, batch)."""
    marked = marker_job(job)
    (phase,) = marked.phases
    epochs = []
    for epoch in (1, 2):
        plan = marked.plan(phase, epoch)
        for step in range(plan.steps):
            inputs, _ = backend.batch(plan, step)
            digits = np.rint(inputs[:, job.image_size // 2, job.image_size // 2]).astype(np.int64)
            epochs.append(digits @ [65536, 256, 1])
    return np.stack(epochs)


def _gradients(job: Job, make_backend: MakeBackend, prefix: str) -> Quantities:
    """Loss and gradients of a few batches, all at the initial weights."""
    (phase,) = job.phases
    backend = make_backend(job)
    backend.start_phase(phase)
    found: Quantities = {}
    losses = []
    plan = job.plan(phase, 1)
    for step in range(min(GRADIENT_BATCHES, plan.steps)):
        loss, gradients = backend.loss_and_gradients(plan, step)
        losses.append(loss)
        found |= _tensors(f"{prefix}gradients of batch {step + 1}", gradients)
    return found | {f"{prefix}loss": np.array(losses)}


def adam_steps(backend: ParityBackend, job: Job, phase: Phase, initial: Weights) -> Quantities:
    """The change of the weights after 1 and `ADAM_STEPS` updates with the same made-up gradients.

    Adam works entry by entry, so that layers of millions of entries would only cost time.
    """
    found: Quantities = {}
    large = {name.split("/")[0] for name, value in initial.items() if value.size > _LARGE}
    multipliers = {n: 0.0 if n in large else value for n, value in phase.multipliers.items()}
    phase = replace(phase, multipliers=multipliers)
    backend.start_phase(phase)
    base = {
        name: _made_up_gradient(index, value.shape)
        for index, (name, value) in enumerate(sorted(initial.items()))
        if phase.trains(name.split("/")[0]) and not name.endswith(("/mean", "/variance"))
    }
    signs = np.random.default_rng(0).normal(size=ADAM_STEPS).astype(np.float32)
    steps = job.steps_per_epoch
    for number, sign in enumerate(signs):
        plan = job.plan(phase, 1 + number // steps)
        backend.update(plan, number % steps, {name: sign * value for name, value in base.items()})
        if number + 1 in (1, ADAM_STEPS):
            after = backend.weights()
            change = {name: after[name] - initial[name] for name in base}
            found |= _tensors(f"change {number + 1}", change)
    return found


def _made_up_gradient(index: int, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of either sign from 1e-9 to 0.1: Adam's epsilon matters for some and not for others."""
    random = np.random.default_rng(index)
    magnitude = np.exp(random.random(shape, np.float32) * np.float32(np.log(1e8))) * 1e-9
    return (magnitude * random.choice(np.array([-1, 1], np.float32), shape)).astype(np.float32)


def loss_curve(backend: ParityBackend, job: Job, phase: Phase) -> np.ndarray:
    """The loss of each of `LOSS_STEPS` steps of training: float64 (steps,)."""
    losses: list[float] = []
    for epoch in range(1, job.settings.epochs + 1):
        plan, total = job.plan(phase, epoch), 0.0
        backend.start_epoch(plan, 0)
        for step in range(min(plan.steps, LOSS_STEPS - len(losses))):
            backend.train(step, step + 1)
            before, total = total, backend.running_metrics(step + 1)[0] * (step + 1)
            losses.append(total - before)
    return np.array(losses)


def changed_weights(weights: Weights) -> Weights:
    """Weights in which no tensor is as it was, as after a training: biases and means are not zero,
    variances not one."""
    noise = np.random.default_rng(0).normal(0, 0.1, _SAMPLED).astype(np.float32)
    return {
        name: value * (1 + np.resize(noise, value.shape))
        + (0 if name.endswith("/kernel") else np.abs(np.resize(noise, value.shape)))
        for name, value in weights.items()
    }


def describe(job: Job, training: Training, make_backend: MakeBackend) -> dict[str, Setting]:
    """The settings in use with the study's own precision and dropout, in the phase of all layers."""
    own = {"precision": training.precision, "dropout": training.dropout}
    job = replace(job, settings=job.settings.changed(**own))
    (phase,) = job.phases
    backend = make_backend(job)
    backend.start_phase(phase)
    return backend.describe() | {"device": Setting(backend.device, "device")}


def measure_library(
    job: Job, make_backend: MakeBackend, library: Library | None, published: Path
) -> Quantities:
    """Preprocessing and converted weights: the backend's, and its library's own where that has the
    network (`library` is not None)."""
    job = library_job(job, min(_LIBRARY_IMAGES, len(job.validation)))
    images = job.train.images
    backend = make_backend(job)
    # A head that passes its inputs on: then the logits are the features.
    head = {
        f"{HEAD}/kernel": np.eye(job.classes, dtype=np.float32),
        f"{HEAD}/bias": np.zeros(job.classes, np.float32),
    }
    backend.set_weights(backend.weights() | head)
    (phase,) = job.phases
    inputs, _ = backend.batch(job.plan(phase, 1), 0)
    pixels = np.empty_like(inputs)
    pixels[sample_order(job.seed, 1, len(images), len(images))[0]] = inputs
    found = {"features": backend.logits(images), "pixels": pixels}
    if library is not None:
        reference = library(job.architecture, published, images, job.input_size)
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
    return tensor[np.unravel_index(chosen, tensor.shape)]
