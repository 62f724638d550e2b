"""Normalisation, and the affine transform that rotates, shifts, flips and resizes."""

import numpy as np
from twinbench.recipe.normalisation import Normalisation


def transform(
    images: np.ndarray,
    matrices: np.ndarray,
    normalisation: Normalisation,
    output_size: int,
    fill: str,
) -> np.ndarray:
    """The network's input: float32 (batch, output_size, output_size, 3), interpolated bilinearly."""
    mean, std = normalisation.mean.astype(np.float32), normalisation.std.astype(np.float32)
    pixels = (images[..., list(normalisation.channels)].astype(np.float32) - mean) / std
    y, x = np.mgrid[:output_size, :output_size].astype(np.float32)
    positions = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    x, y = (matrices @ positions).transpose(1, 0, 2)
    last = images.shape[1] - 1
    if fill == "nearest":
        x, y = x.clip(0, last), y.clip(0, last)
    left, top = np.floor(x), np.floor(y)
    number = np.arange(len(images))[:, None]
    result = np.zeros((len(images), output_size**2, 3), np.float32)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at_x, at_y = left + column, top + row
        fraction = (1 - np.abs(x - at_x)) * (1 - np.abs(y - at_y))
        inside = (at_x >= 0) & (at_x <= last) & (at_y >= 0) & (at_y <= last)
        values = pixels[number, at_y.clip(0, last).astype(int), at_x.clip(0, last).astype(int)]
        result += (fraction * inside)[..., None] * values
    return result.reshape(-1, output_size, output_size, 3)
