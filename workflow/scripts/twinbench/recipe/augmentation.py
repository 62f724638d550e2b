"""Augmentation and resizing as one affine transform per image."""

import numpy as np

from twinbench.config.training import Augmentation
from twinbench.recipe.randomness import random_generator


def resize_matrix(image_size: int, output_size: int) -> np.ndarray:
    """Maps output to image coordinates in a plain resize: float64 of shape (3, 3).

    Pixel centres have whole coordinates, and the images' outer edges coincide (half-pixel centres).
    """
    scale = image_size / output_size
    shift = (scale - 1) / 2
    return np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1]])


def augmentation_matrices(
    seed: int, epoch: int, count: int, image_size: int, output_size: int, settings: Augmentation
) -> np.ndarray:
    """Rotation, scale, shift, flip and resize of an epoch's samples, one affine transform each.

    Returns float32 of shape (count, 2, 3), in the order of `sample_order`. A matrix maps an output pixel
    (x, y, 1) to the place in the image, (x, y), whose value it gets. Angles are uniform within
    +- `rotation_degrees`, scales within 1 +- `scale_fraction`, shifts within +- `shift_fraction` of the
    image size in x and y, rounded with `whole_pixels`, since a shift between pixels blurs the image.
    """
    random = random_generator(seed, "augmentation", epoch)
    angle = np.radians(random.uniform(-1, 1, count) * settings.rotation_degrees)
    shift = random.uniform(-1, 1, (count, 2)) * settings.shift_fraction * image_size
    if settings.whole_pixels:
        shift = np.round(shift)
    flipped = random.random(count) < 0.5
    scale = 1 + random.uniform(-1, 1, count) * settings.scale_fraction
    sign = np.where(flipped & settings.horizontal_flip, -1.0, 1.0)

    centre = (image_size - 1) / 2
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    about_centre = np.zeros((count, 3, 3))
    about_centre[:, 0, 0], about_centre[:, 0, 1] = sign * cosine, sine
    about_centre[:, 1, 0], about_centre[:, 1, 1] = -sign * sine, cosine
    about_centre[:, :2, 2] = centre + shift - about_centre[:, :2, :2] @ np.full(2, centre)
    about_centre[:, 2, 2] = 1
    return (about_centre @ resize_matrix(image_size, output_size))[:, :2].astype(np.float32)


def evaluation_matrices(count: int, image_size: int, output_size: int) -> np.ndarray:
    """The transforms for evaluation, a plain resize: float32 of shape (count, 2, 3)."""
    matrix = resize_matrix(image_size, output_size)[:2].astype(np.float32)
    return np.broadcast_to(matrix, (count, 2, 3))
