"""Which images a study uses."""

import numpy as np
import pytest
from pydantic import ValidationError
from twinbench.data.archive import Archive, Samples
from twinbench.data.selection import SelectionSettings, select, stratified_order
from twinbench.errors import InputError


def samples(count, seed):
    """Samples of balanced classes whose images hold their row number."""
    rows = np.arange(count)
    labels = np.random.default_rng(seed).permutation(rows % 10)
    return Samples(rows.reshape(-1, 1, 1, 1), labels, rows)


ARCHIVE = Archive(samples(400, seed=1), samples(200, seed=2), [f"class {i}" for i in range(10)])


def settings(limit=None, fraction=0.1, seed=0):
    return SelectionSettings(limit=limit, validation_fraction=fraction, seed=seed)


@pytest.mark.parametrize(
    ("limit", "per_class"),
    [
        (None, {"train": 36, "validation": 4, "test": 20}),
        (100, {"train": 9, "validation": 1, "test": 10}),
    ],
)
def test_splits_are_stratified_disjoint_and_sorted(limit, per_class):
    selected = select(ARCHIVE, settings(limit))
    for split, count in per_class.items():
        found = selected[split]
        source = ARCHIVE.test if split == "test" else ARCHIVE.train
        assert np.bincount(found.labels).tolist() == [count] * 10
        assert (np.diff(found.sample_ids) > 0).all()
        assert np.array_equal(found.images[:, 0, 0, 0], found.sample_ids)
        assert np.array_equal(found.labels, source.labels[found.sample_ids])
    assert not np.intersect1d(selected["train"].sample_ids, selected["validation"].sample_ids).size


def test_another_seed_selects_other_images():
    first, other = (select(ARCHIVE, settings(limit=100, seed=seed)) for seed in (0, 1))
    for split in first:
        assert not np.array_equal(first[split].sample_ids, other[split].sample_ids)


def test_every_prefix_of_the_order_is_stratified():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    order = stratified_order(labels, seed=0)
    assert np.array_equal(np.sort(order), np.arange(100))
    for length in range(1, 101):
        counts = np.bincount(labels[order[:length]], minlength=3)
        assert np.abs(counts - length * np.array([0.6, 0.3, 0.1])).max() <= 1


@pytest.mark.parametrize(
    ("limit", "fraction", "split"),
    [(9, 0.1, "train"), (50, 0.1, "validation"), (None, 0.0, "validation"), (None, 1.0, "train")],
)
def test_a_class_without_an_image_is_named(limit, fraction, split):
    with pytest.raises(InputError, match=f"the {split} split has no image of the class 'class"):
        select(ARCHIVE, settings(limit, fraction))


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"fraction": -0.1}, {"seed": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        settings(**wrong)
