"""The archive's images as the splits that training jobs read."""

import numpy as np

from twinbench.data.archive import Archive
from twinbench.data.selection import SelectionSettings, select
from twinbench.data.splits import Split


def build_splits(archive: Archive, settings: SelectionSettings) -> dict[str, Split]:
    """The splits train, validation and test."""
    selected = select(archive, settings)
    mean, std = channel_statistics(selected["train"].images)
    return {
        split: Split(**vars(samples), class_names=archive.class_names, mean=mean, std=std)
        for split, samples in selected.items()
    }


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population std of each channel on the 0-1 scale, float64 (3,), of uint8 (n, h, w, 3).

    The sums are integers, so the results do not depend on the order of summation.
    """
    count = images[..., 0].size
    totals = images.sum(axis=(0, 1, 2), dtype=np.int64).tolist()
    squares = np.einsum("nhwc,nhwc->c", images, images, dtype=np.int64).tolist()
    mean = [total / (255 * count) for total in totals]
    # In Python's integers: count * square exceeds 64 bits.
    std = [
        (count * square - total**2) ** 0.5 / (255 * count)
        for total, square in zip(totals, squares, strict=True)
    ]
    return np.array(mean), np.array(std)
