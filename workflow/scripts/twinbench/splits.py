"""A split of the images as tensors in a file: what the training jobs read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

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


def save(path: Path | str, split: Split) -> None:
    """Write a split as safetensors; the class names and channel statistics are metadata."""
    tensors = {"images": split.images, "labels": split.labels, "sample_ids": split.sample_ids}
    description = {
        "class_names": split.class_names,
        "mean": split.mean.tolist(),
        "std": split.std.tolist(),
    }
    # One key alone: safetensors writes several in random order, and the file would vary.
    with written_atomically(path) as temporary:
        save_file(tensors, temporary, metadata={"split": json.dumps(description)})


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
