"""A split of the images as a file of tensors: what the training jobs read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twinbench import tensor_files
from twinbench.errors import InputError

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
    facts = {
        "class_names": split.class_names,
        "mean": split.mean.tolist(),
        "std": split.std.tolist(),
    }
    tensor_files.write(path, {name: getattr(split, name) for name in _TENSORS}, facts)


def load(path: Path | str) -> Split:
    """Read a split that `save` wrote. Raises `InputError` if the file is missing or damaged."""
    tensors, facts = tensor_files.read(path)
    if set(tensors) != set(_TENSORS):
        raise InputError(
            f"{path}: not a split's tensors, but {', '.join(sorted(tensors))}; "
            "delete it and start again: it is made anew"
        )
    return Split(
        class_names=facts["class_names"],
        mean=np.array(facts["mean"]),
        std=np.array(facts["std"]),
        **tensors,
    )
