"""Dropout masks as a function of (seed, epoch, step, layer), computed where the network is.

A mask is a hash of the units' numbers under keys that an epoch's plan holds. It is integer arithmetic
alone, so NumPy, PyTorch and TensorFlow get the same bits on every device, and no mask travels to it.
"""

from collections.abc import Callable
from operator import rshift
from typing import Any

import numpy as np

from twinbench.recipe.randomness import random_generator

# The two rounds of the 32-bit integer hash `[16 21f0aaad 15 735a2d97 15]` of Wellons' hash prospector
# (github.com/skeeto/hash-prospector, issue 19). Both fit int32, which PyTorch multiplies modulo 2**32.
_FIRST, _SECOND = 0x21F0AAAD, 0x735A2D97
_VALUES = 1 << 16  # of the 16 bits that decide on one unit


def dropout_keys(seed: int, epoch: int, steps: int, layers: int) -> np.ndarray:
    """Two keys for each step and dropout layer: int32 of shape (steps, layers, 2)."""
    bounds = np.iinfo(np.int32)
    return random_generator(seed, "dropout", epoch).integers(
        bounds.min, bounds.max, (steps, layers, 2), dtype=np.int32, endpoint=True
    )


def hashed(numbers: Any, keys: Any, shift: Callable = rshift) -> Any:
    """The 32-bit hash of numbers under two keys.

    `numbers` and `keys` are integers of 32 bits, signed or not, of any library; `shift` shifts them to
    the right, with or without the sign.
    """
    numbers = numbers ^ keys[0]
    numbers = (numbers ^ (shift(numbers, 16) & 0xFFFF)) * _FIRST
    numbers = numbers ^ keys[1]
    numbers = (numbers ^ (shift(numbers, 15) & 0x1FFFF)) * _SECOND
    return numbers ^ (shift(numbers, 15) & 0x1FFFF)


def hashes_needed(units: int) -> int:
    """How many numbers, from 0, are hashed for a mask of so many units: one for two of them."""
    return (units + 1) // 2


def halves(hashes: Any, shift: Callable = rshift) -> tuple[Any, Any]:
    """The 16 low and the 16 high bits: the values of a mask's first and second half."""
    return hashes & 0xFFFF, shift(hashes, 16) & 0xFFFF


def threshold(rate: float) -> int:
    """A unit is kept if its value of 16 bits is at least this. The rate is met to 1 in 65,536."""
    return round(rate * _VALUES)


def dropout_mask(keys: np.ndarray, shape: tuple[int, int], rate: float) -> np.ndarray:
    """What a dropout layer's input is multiplied with: float32 of shape (batch, units).

    0 for a dropped unit, 1 / (1 - rate) for a kept one. The backends compute the same with their own
    tensors.
    """
    units = shape[0] * shape[1]
    numbers = np.arange(hashes_needed(units), dtype=np.uint32)
    values = np.concatenate(halves(hashed(numbers, keys.astype(np.uint32))))[:units]
    kept = (values >= threshold(rate)).reshape(shape)
    return kept.astype(np.float32) / np.float32(1 - rate)
