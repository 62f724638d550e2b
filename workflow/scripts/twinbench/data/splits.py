"""A split of the images as a file of tensors: what the training jobs read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat

from twinbench import tensor_files
from twinbench.errors import ANEW, InputError

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


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    class_names: list[str]
    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    std: tuple[FiniteFloat, FiniteFloat, FiniteFloat]


def load(path: Path | str) -> Split:
    """Read a split that `save` wrote. Raises `InputError` if the file is missing, damaged or another."""
    tensors, facts = tensor_files.read(path)
    try:
        known = _Facts.model_validate(facts)
        split = Split(
            class_names=known.class_names,
            mean=np.array(known.mean),
            std=np.array(known.std),
            **tensors,
        )
    except (TypeError, ValueError):
        split = None
    if split is None or not _fits_together(split):
        held = ", ".join(f"{name} {each.dtype}{each.shape}" for name, each in tensors.items())
        raise InputError(f"{path}: not a split's tensors, but {held}; {ANEW}")
    return split


def _fits_together(split: Split) -> bool:
    images, labels, sample_ids = split.images, split.labels, split.sample_ids
    return (
        (images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3)
        and (labels.dtype == sample_ids.dtype == np.int64)
        and (labels.shape == sample_ids.shape == images.shape[:1])
        and bool(((labels >= 0) & (labels < len(split.class_names))).all())
    )
