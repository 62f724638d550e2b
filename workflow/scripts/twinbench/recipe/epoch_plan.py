"""Everything that decides an epoch, as plain arrays that a backend executes."""

from dataclasses import dataclass

import numpy as np

from twinbench.config.training import Training
from twinbench.errors import InputError
from twinbench.recipe.augmentation import augmentation_matrices
from twinbench.recipe.dropout import dropout_keys
from twinbench.recipe.randomness import random_generator, step_seed
from twinbench.recipe.schedule import Phase, learning_rate


@dataclass(frozen=True)
class EpochPlan:
    """One epoch of training, whichever backend executes it.

    `epoch`: which one, from 1.
    `input_size`: image size in pixels that the network gets.
    `order`: int64 (steps, batch), the training images of each step.
    `matrices`: float32 (steps, batch, 2, 3), their affine transforms, see `augmentation_matrices`.
    `learning_rates`: float64 (steps,), before each layer's multiplier.
    `dropout_keys`: int32 (steps, dropout layers, 2), from which masks are made, see `recipe.dropout`.
    `step_seeds`: int64 (steps,), seeds for a framework's own generator; empty unless native.
    """

    epoch: int
    input_size: int
    order: np.ndarray
    matrices: np.ndarray
    learning_rates: np.ndarray
    dropout_keys: np.ndarray
    step_seeds: np.ndarray

    @property
    def steps(self) -> int:
        return len(self.order)


def plan_epoch(
    seed: int,
    settings: Training,
    phase: Phase,
    epoch: int,
    *,
    images: int,
    image_size: int,
    input_size: int,
    dropout_layers: int,
    learning_rate_scale: float = 1.0,
) -> EpochPlan:
    """The plan of an epoch of `phase`, on `images` training images of `image_size` pixels, for a network
    of so many `dropout_layers` that get masks."""
    order = sample_order(seed, epoch, images, settings.batch_size)
    steps = len(order)
    matrices = augmentation_matrices(
        seed, epoch, order.size, image_size, input_size, settings.augmentation
    )
    rates = [learning_rate(phase, epoch, step, steps, settings.schedule) for step in range(steps)]
    return EpochPlan(
        epoch=epoch,
        input_size=input_size,
        order=order,
        matrices=matrices.reshape(*order.shape, 2, 3),
        learning_rates=np.array(rates) * learning_rate_scale,
        dropout_keys=dropout_keys(seed, epoch, steps, dropout_layers),
        step_seeds=np.array(
            [step_seed(seed, epoch, step) for step in range(steps)]
            if settings.protocol == "native"
            else [],
            dtype=np.int64,
        ),
    )


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch (drop_last=True). Raises `InputError` if there is none."""
    if images < batch_size:
        raise InputError(
            f"training.batch_size: {batch_size} is more than the {images} training images; "
            "make it smaller or raise dataset.limit"
        )
    return images // batch_size


def sample_order(seed: int, epoch: int, images: int, batch_size: int) -> np.ndarray:
    """The images of each step of an epoch: int64 of shape (steps, batch_size)."""
    steps = steps_per_epoch(images, batch_size)
    order = random_generator(seed, "order", epoch).permutation(images)
    return order[: steps * batch_size].reshape(steps, batch_size)
