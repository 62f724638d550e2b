"""The archive's images as the splits that training jobs read."""

from typing import Any

import numpy as np

from twinbench.data.archive import Archive
from twinbench.data.selection import SelectionSettings, class_counts, select
from twinbench.data.splits import Split


def build_splits(
    archive: Archive, settings: SelectionSettings
) -> tuple[dict[str, Split], dict[str, Any]]:
    """The splits train, validation and test, and a summary of them, ready for JSON."""
    selected = select(archive, settings)
    names = archive.class_names
    mean, std = channel_statistics(selected["train"].images)
    splits = {
        split: Split(**vars(samples), class_names=names, mean=mean, std=std)
        for split, samples in selected.items()
    }
    summary = {
        "class_names": names,
        "counts": {split: class_counts(samples, names) for split, samples in selected.items()},
        "mean": mean.tolist(),
        "std": std.tolist(),
        **settings.model_dump(exclude={"source"}),
    }
    return splits, summary


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
