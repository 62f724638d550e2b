"""A split of the images as a file of tensors: what the training jobs read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from twinbench.errors import InputError
from twinbench.files import written_atomically

_TENSORS = ("images", "labels", "sample_ids")


@dataclass(frozen=True)
class Split:
    """Images, uint8 (n, 32, 32, 3); labels, int64 (n,); sample ids, int64 (n,).

    A sample id is the image's row among the archive's training or test images. `mean` and `std`, float64
    (3,), are those of the training split's channels on the 0-1 scale.
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
    """Write a split as safetensors; class names and channel statistics are metadata."""
    tensors = {name: getattr(split, name) for name in _TENSORS}
    description = {
        "class_names": split.class_names,
        "mean": split.mean.tolist(),
        "std": split.std.tolist(),
    }
    with written_atomically(path) as temporary:
        # One key: safetensors writes several in random order.
        save_file(tensors, temporary, {"split": json.dumps(description)})


def load(path: Path | str) -> Split:
    """Read a split that `save` wrote. Raises `InputError` if the file is missing or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            description = json.loads(file.metadata()["split"])
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
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
