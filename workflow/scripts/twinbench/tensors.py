"""Parquet splits as tensors of train, validation and test, which the training jobs map into memory.

Every choice of samples is stratified and a function of the seed alone. Memory does not grow with the
number of images.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from joblib import Parallel, delayed

from twinbench import splits
from twinbench.dataset import decode_png, useful_workers
from twinbench.errors import InputError

_PART = 1000  # images in memory at a time


def build(
    train: Path | str,
    test: Path | str,
    outputs: dict[str, Path],
    limit: int | None,
    validation_fraction: float,
    seed: int,
    workers: int = 1,
) -> dict:
    """Write the splits train, validation and test out of the Parquet files `train` and `test`.

    `outputs` names a file for each. `limit` is the number of images taken of each Parquet file, None
    for all; the validation split is `validation_fraction` of what is taken of `train`. The images are
    decoded by `workers` processes. Returns what the splits hold, ready for JSON. Raises `InputError`
    where a class would have no image in a split.
    """
    train_images, test_images = _Parquet(train), _Parquet(test)
    taken = stratified_order(train_images.labels, seed)[:limit]
    held_out = round(validation_fraction * len(taken))
    rows = {
        "train": (train_images, np.sort(taken[held_out:])),
        "validation": (train_images, np.sort(taken[:held_out])),
        "test": (test_images, np.sort(stratified_order(test_images.labels, seed)[:limit])),
    }
    for name, (source, chosen) in rows.items():
        _check_classes(name, source, chosen, limit, validation_fraction)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(splits.written(outputs[name], source.labels[chosen], chosen))
            for name, (source, chosen) in rows.items()
        }
        counts = ValueCounts()
        for name, (source, chosen) in rows.items():
            for images in source.images(chosen, workers):
                writers[name].append(images)
                if name == "train":
                    counts.add(images)
        mean, std = counts.mean_and_deviation()
        for name, (source, _) in rows.items():
            writers[name].finish(source.class_names, mean, std)
    names = train_images.class_names
    return {
        "class_names": names,
        "counts": {
            name: dict(zip(names, _per_class(source, chosen), strict=True))
            for name, (source, chosen) in rows.items()
        },
        "mean": mean.tolist(),
        "std": std.tolist(),
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


class ValueCounts:
    """How often each value occurs in each channel of images, from which the statistics are exact."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)

    def add(self, images: np.ndarray) -> None:
        """Count the pixels of images, uint8 (n, height, width, 3)."""
        for channel in range(3):
            self._counts[channel] += np.bincount(images[..., channel].ravel(), minlength=256)

    def mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (population) of each channel on the 0-1 scale, float64 (3,)."""
        values = np.arange(256, dtype=np.int64)
        mean, std = np.empty(3), np.empty(3)
        for channel, counts in enumerate(self._counts):
            count = int(counts.sum())
            total, squares = int(counts @ values), int(counts @ values**2)
            mean[channel] = total / (255 * count)
            std[channel] = (count * squares - total**2) ** 0.5 / (255 * count)
        return mean, std


class _Parquet:
    """A split's Parquet file: its labels, its class names and, by row, its images."""

    def __init__(self, path: Path | str) -> None:
        try:
            # pre_buffer would hold the whole file in memory.
            self._file = pq.ParquetFile(path, pre_buffer=False)
            metadata = json.loads(self._file.schema_arrow.metadata[b"huggingface"])
            self.class_names = metadata["info"]["features"]["label"]["names"]
            self.labels = self._file.read(columns=["label"])["label"].to_numpy()
        except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: not a split in Parquet with columns img and label and Hugging Face's "
                f"metadata ({error}); build it with build_parquet.py"
            ) from None

    def images(self, rows: np.ndarray, workers: int) -> Iterator[np.ndarray]:
        """The images of `rows`, int64 (n,) in rising order, as parts uint8 (any, 32, 32, 3)."""
        return Parallel(useful_workers(len(rows), workers), return_as="generator")(
            delayed(_decoded)(files) for files in self._image_files(rows)
        )

    def _image_files(self, rows: np.ndarray) -> Iterator[pa.Array]:
        """The PNG files of `rows`, some at a time."""
        start = 0
        for batch in self._file.iter_batches(_PART, columns=["img"]):
            chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(batch))]
            yield batch["img"].field("bytes").take(pa.array(chosen - start))
            start += len(batch)


def _decoded(files: pa.Array) -> np.ndarray:
    """Images uint8 (n, 32, 32, 3) of PNG files."""
    images = np.empty((len(files), 32, 32, 3), np.uint8)
    for place, file in enumerate(files):
        images[place] = decode_png(file.as_buffer())
    return images


def _per_class(source: _Parquet, rows: np.ndarray) -> list[int]:
    return np.bincount(source.labels[rows], minlength=len(source.class_names)).tolist()


def _check_classes(
    name: str, source: _Parquet, rows: np.ndarray, limit: int | None, validation_fraction: float
) -> None:
    empty = np.flatnonzero(np.array(_per_class(source, rows)) == 0)
    if len(empty):
        raise InputError(
            f"the {name} split has no image of the class '{source.class_names[empty[0]]}' with "
            f"limit {limit} and validation_fraction {validation_fraction}; raise the limit or "
            "change the fraction"
        )
