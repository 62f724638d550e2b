"""Parquet splits as tensors of train, validation and test, which the training jobs map into memory.

Every choice of samples is stratified and a function of the seed alone.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twinbench.dataset import decode_png
from twinbench.errors import InputError
from twinbench.splits import Split


def build(
    train: Path | str,
    test: Path | str,
    limit: int | None,
    validation_fraction: float,
    seed: int,
) -> dict[str, Split]:
    """The splits train, validation and test out of the Parquet files `train` and `test`.

    `limit` is the number of images taken of each file, None for all; the validation split is
    `validation_fraction` of what is taken of `train`. Raises `InputError` where a class would
    have no image in a split.
    """
    train_images, test_images = _Parquet(train), _Parquet(test)
    taken = stratified_order(train_images.labels, seed)[:limit]
    held_out = round(validation_fraction * len(taken))
    rows = {
        "train": (train_images, taken[held_out:]),
        "validation": (train_images, taken[:held_out]),
        "test": (test_images, stratified_order(test_images.labels, seed)[:limit]),
    }
    for name, (source, chosen) in rows.items():
        _check_classes(name, source, chosen, limit, validation_fraction)
    pixels = {name: source.images(np.sort(chosen)) for name, (source, chosen) in rows.items()}
    mean, std = channel_statistics(pixels["train"])
    return {
        name: Split(
            images=pixels[name],
            labels=source.labels[np.sort(chosen)],
            sample_ids=np.sort(chosen),
            class_names=source.class_names,
            mean=mean,
            std=std,
        )
        for name, (source, chosen) in rows.items()
    }


def statistics(
    splits: dict[str, Split], limit: int | None, validation_fraction: float, seed: int
) -> dict:
    """What the splits hold, ready for JSON: counts of each class in each split, channel mean and std."""
    names = splits["train"].class_names
    counts = {
        name: dict(
            zip(names, np.bincount(split.labels, minlength=len(names)).tolist(), strict=True)
        )
        for name, split in splits.items()
    }
    return {
        "class_names": names,
        "counts": counts,
        "mean": splits["train"].mean.tolist(),
        "std": splits["train"].std.tolist(),
        "limit": limit,
        "validation_fraction": validation_fraction,
        "seed": seed,
    }


def stratified_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """A random order of the rows, int64 (n,), of which every prefix is stratified by class.

    A row's key is its random rank within its class over the size of the class, so that each class
    advances through the order evenly.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    key = np.empty(len(labels))
    for label in np.unique(labels):
        places = np.flatnonzero(labels[order] == label)
        key[places] = (np.arange(len(places)) + 0.5) / len(places)
    return order[np.argsort(key, kind="stable")]


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (population) of each channel on the 0-1 scale, float64 (3,).

    `images` is uint8 (n, height, width, 3). The sums are exact, in integers.
    """
    values = np.arange(256, dtype=np.int64)
    mean, std = np.empty(3), np.empty(3)
    for channel in range(3):
        counts = np.bincount(images[..., channel].ravel(), minlength=256)
        count = int(counts.sum())
        total, squares = int(counts @ values), int(counts @ values**2)
        mean[channel] = total / (255 * count)
        std[channel] = (count * squares - total**2) ** 0.5 / (255 * count)
    return mean, std


class _Parquet:
    """A split's Parquet file: its labels, its class names and, by row, its images."""

    def __init__(self, path: Path | str) -> None:
        try:
            self._table = pq.read_table(path)
            metadata = json.loads(self._table.schema.metadata[b"huggingface"])
            self.class_names = metadata["info"]["features"]["label"]["names"]
            self.labels = self._table["label"].to_numpy()
        except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: not a split in Parquet with columns img and label and Hugging Face's "
                f"metadata ({error}); build it with build_parquet.py"
            ) from None

    def images(self, rows: np.ndarray) -> np.ndarray:
        """The images of `rows`, int64 (n,), as uint8 (n, 32, 32, 3)."""
        column = self._table["img"].combine_chunks().field("bytes")
        result = np.empty((len(rows), 32, 32, 3), np.uint8)
        for place, row in enumerate(rows):
            result[place] = decode_png(column[int(row)].as_buffer())
        return result


def _check_classes(
    name: str, source: _Parquet, rows: np.ndarray, limit: int | None, validation_fraction: float
) -> None:
    counts = np.bincount(source.labels[rows], minlength=len(source.class_names))
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise InputError(
            f"the {name} split has no image of the class '{source.class_names[empty[0]]}' with "
            f"limit {limit} and validation_fraction {validation_fraction}; raise the limit or "
            "change the fraction"
        )
