"""What a backend is.

A backend builds the network of a job in its framework, executes epoch plans, and computes logits.
When to train what, what to keep, when to stop and what to save is decided by
`twinbench.training.loop`. A backend is named as its framework in the config. In a native run
(`protocol: native`) it uses the framework's own initialisation, epsilon, dropout and augmentation
instead of the plan's.

A backend's folder holds:

    __init__.py      MODEL_SUFFIX, the suffix of its model files, and SUPPORTED_GPUS, if it uses some;
                     imports no framework
    accelerator.py   `accelerator()`: a `provenance.Accelerator`, or None on the CPU
    backend.py       a class `Backend` as below, whose constructor takes a `training.job.Job`
    parity.py        a class `ParityBackend`, and `library_reference`: see `parity.measuring`
    weights.py       `read_published` and `write_published`, where its library publishes weights
    network.py, augmentation.py, audit.py, as far as it wants them
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from twinbench.networks.weights import Weights
from twinbench.recipe.epoch_plan import EpochPlan
from twinbench.recipe.schedule import Phase

Tensors = dict[str, np.ndarray]
Tensor = TypeVar("Tensor")
KEPT = "kept/"  # begins the names of kept weights in a state


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, named without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


class Probed(Protocol):
    """What the collapse detector needs of a backend. Nothing here changes the training."""

    def probe(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        """Logits float32 (n, classes) of uint8 images (n, height, width, 3), and for each ReLU layer the
        fraction of its units that no image activates."""

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """For each trained layer, the norm of the mean loss's gradient in its kernel."""


class Backend(Probed, Protocol):
    """A network in training.

    `device` is "cpu" or the accelerator's name, `libraries` the distributions whose versions count,
    `precision` the arithmetic of the network (float32 or bfloat16). `input_size` is the image size in
    pixels at which `logits` and `probe` evaluate images; the loop sets it before each epoch.
    """

    device: str
    libraries: tuple[str, ...]
    precision: str
    input_size: int

    def start_phase(self, phase: Phase) -> None:
        """Freeze what the phase does not train, and make a fresh optimiser for the rest."""

    def start_epoch(self, plan: EpochPlan, first_step: int) -> None:
        """Take a plan to the device. `first_step` is the first to be executed, not 0 after a resumption
        in mid-epoch."""

    def train(self, first: int, last: int) -> None:
        """Execute the plan's steps from `first` up to but not including `last`, and wait for their end.

        How an epoch is divided into such calls has no effect on the result.
        """

    def running_metrics(self, steps: int) -> tuple[float, float]:
        """Mean loss, with label smoothing, and accuracy of the epoch's `steps` steps so far, those
        before a resumption included."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits float32 (n, classes) of uint8 images (n, height, width, 3), without dropout."""

    def keep_weights(self) -> None:
        """Remember the network's weights as they are now, instead of those kept before."""

    def use_kept_weights(self) -> None:
        """Put the kept weights back into the network."""

    def state(self) -> Tensors:
        """All that the next step and the result depend on: weights, those that are kept, optimiser, the
        epoch's running sums."""

    def restore(self, state: Tensors) -> None:
        """Take up a `state`, after `start_phase` of the phase that it was saved in."""

    def weights(self) -> Weights:
        """The network's weights in the framework-free layout."""

    def set_weights(self, weights: Weights) -> None:
        """The inverse of `weights`."""

    def save_model(self, path: Path) -> None:
        """Write the network in the format that the framework's users exchange."""
