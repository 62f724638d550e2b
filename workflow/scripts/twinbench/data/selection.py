"""Which images of an archive a study uses: stratified by class and a function of the seed alone."""

import numpy as np

from twinbench.config.base import Count, Fraction, PositiveInteger, Settings
from twinbench.data.archive import Archive, Samples
from twinbench.errors import InputError


class SelectionSettings(Settings):
    """What decides the images.

    `limit` is the number of training images, and likewise of test images, to use, None for all;
    `validation_fraction` is the part of these training images that is held out.
    """

    limit: PositiveInteger | None
    validation_fraction: Fraction
    seed: Count


def select(archive: Archive, settings: SelectionSettings) -> dict[str, Samples]:
    """The splits train, validation and test, each in ascending order of sample ids.

    Train and validation are parts of the archive's training images. Raises `InputError` if a class has
    no image in a split.
    """
    train, test = (
        stratified_order(part.labels, settings.seed)[: settings.limit]
        for part in (archive.train, archive.test)
    )
    held_out = round(settings.validation_fraction * len(train))
    selected = {
        "train": archive.train.take(np.sort(train[held_out:])),
        "validation": archive.train.take(np.sort(train[:held_out])),
        "test": archive.test.take(np.sort(test)),
    }
    for split, samples in selected.items():
        for name, count in class_counts(samples.labels, archive.class_names).items():
            if count == 0:
                raise InputError(
                    f"the {split} split has no image of the class '{name}' with limit "
                    f"{settings.limit} and validation_fraction {settings.validation_fraction}; "
                    "raise the limit or change the fraction; images of your own need some of each class in "
                    "the archive's training and test files"
                )
    return selected


def class_counts(labels: np.ndarray, class_names: list[str]) -> dict[str, int]:
    """The number of images of each class, by its name."""
    counts = np.bincount(labels, minlength=len(class_names))
    return dict(zip(class_names, counts.tolist(), strict=True))


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
