"""Normalisation and the affine warp, bilinear, in NumPy."""

import numpy as np
from twinbench.protocol import Normalisation


def prepare(
    images: np.ndarray,
    matrices: np.ndarray,
    normalisation: Normalisation,
    output_size: int,
    fill: str,
) -> np.ndarray:
    """What the net gets: float32 (batch, output_size, output_size, 3)."""
    pixels = images[..., list(normalisation.channels)].astype(np.float32)
    pixels = (pixels - normalisation.mean.astype(np.float32)) / normalisation.deviation.astype(
        np.float32
    )
    y, x = np.mgrid[:output_size, :output_size].astype(np.float32)
    places = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    x, y = (matrices.astype(np.float32) @ places).transpose(1, 0, 2)
    last = images.shape[1] - 1
    if fill == "nearest":
        x, y = x.clip(0, last), y.clip(0, last)
    left, top = np.floor(x), np.floor(y)
    number = np.arange(len(images))[:, None]
    result = np.zeros((len(images), output_size**2, 3), np.float32)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at_x, at_y = left + column, top + row
        share = (1 - np.abs(x - at_x)) * (1 - np.abs(y - at_y))
        inside = (at_x >= 0) & (at_x <= last) & (at_y >= 0) & (at_y <= last)
        taken = pixels[number, at_y.clip(0, last).astype(int), at_x.clip(0, last).astype(int)]
        result += (share * inside)[..., None] * taken
    return result.reshape(-1, output_size, output_size, 3)
