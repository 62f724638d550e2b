"""A split of the images as tensors in a file: what the training jobs read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from safetensors import SafetensorError, safe_open

from twinbench.errors import InputError
from twinbench.files import written_atomically


@dataclass(frozen=True)
class Split:
    """Images, uint8 (n, 32, 32, 3); labels, int64 (n,); sample ids, int64 (n,): rows in Parquet.

    `mean` and `std`, float64 (3,), are of the training images' channels on the 0-1 scale.
    """

    images: np.ndarray
    labels: np.ndarray
    sample_ids: np.ndarray
    class_names: list[str]
    mean: np.ndarray
    std: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class Writer:
    """Writes a split's images as they come, so that memory does not grow with their number.

    The file is safetensors with the tensors `images`, `labels` and `sample_ids`; class names and channel
    statistics are metadata. Labels and sample ids, int64 (n,), are known from the start.
    """

    _HEADER = 4096  # bytes, more than any class names take; a safetensors header may end in blanks

    def __init__(self, file: IO[bytes], labels: np.ndarray, sample_ids: np.ndarray) -> None:
        self._file, self._labels, self._sample_ids = file, labels, sample_ids
        self._written = 0
        file.seek(8 + self._HEADER)

    def append(self, images: np.ndarray) -> None:
        """Add the next images, uint8 (any, 32, 32, 3)."""
        self._file.write(np.ascontiguousarray(images).data)
        self._written += len(images)

    def finish(self, class_names: list[str], mean: np.ndarray, std: np.ndarray) -> None:
        """Add what else a split has, once all images are there."""
        count = len(self._labels)
        if self._written != count:
            raise ValueError(f"{self._written} images for {count} labels")
        for values in (self._labels, self._sample_ids):
            self._file.write(values.astype("<i8").data)
        description = {"class_names": class_names, "mean": mean.tolist(), "std": std.tolist()}
        header: dict[str, dict] = {"__metadata__": {"split": json.dumps(description)}}
        start = 0
        for name, dtype, shape, size in (
            ("images", "U8", (count, 32, 32, 3), count * 32 * 32 * 3),
            ("labels", "I64", (count,), count * 8),
            ("sample_ids", "I64", (count,), count * 8),
        ):
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + size]}
            start += size
        text = json.dumps(header).encode().ljust(self._HEADER)
        if len(text) > self._HEADER:
            raise InputError("the class names are too long for a split's header; shorten them")
        self._file.seek(0)
        self._file.write(self._HEADER.to_bytes(8, "little") + text)


@contextmanager
def written(path: Path | str, labels: np.ndarray, sample_ids: np.ndarray) -> Iterator[Writer]:
    """A writer of the split file `path`, which is there when the block ends without an error."""
    with written_atomically(path) as temporary, open(temporary, "wb") as file:
        yield Writer(file, labels, sample_ids)


def save(path: Path | str, split: Split) -> None:
    """Write a split as safetensors; the class names and channel statistics are metadata."""
    with written(path, split.labels, split.sample_ids) as writer:
        writer.append(split.images)
        writer.finish(split.class_names, split.mean, split.std)


def load(path: Path | str) -> Split:
    """Read a split that `save` wrote. Raises `InputError` if the file is missing or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            description = json.loads(file.metadata()["split"])
            tensors = {key: file.get_tensor(key) for key in ("images", "labels", "sample_ids")}
    except (FileNotFoundError, SafetensorError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a split's tensors ({error}); delete the file and run the workflow again"
        ) from None
    return Split(
        class_names=description["class_names"],
        mean=np.array(description["mean"]),
        std=np.array(description["std"]),
        **tensors,
    )
