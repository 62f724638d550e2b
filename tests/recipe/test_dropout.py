"""Dropout masks: their rate, and that units, images, steps and layers are dropped independently."""

import numpy as np
import pytest
from twinbench.recipe.dropout import dropout_keys, dropout_mask, hashed

KEYS = dropout_keys(1, 1, 40, 2)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_a_mask_drops_its_fraction_and_keeps_the_mean(rate):
    mask = dropout_mask(KEYS[0, 0], (400, 501), rate)
    assert (mask.shape, mask.dtype) == ((400, 501), np.float32)
    assert set(np.unique(mask)) == {0, np.float32(1) / np.float32(1 - rate)}
    assert (mask == 0).mean() == pytest.approx(rate, abs=0.005)
    assert mask.mean() == pytest.approx(1, abs=0.01)


def test_without_dropout_everything_is_kept():
    assert (dropout_mask(KEYS[0, 0], (3, 7), 0.0) == 1).all()


def test_an_epochs_keys_depend_on_seed_and_epoch_alone():
    assert np.array_equal(KEYS, dropout_keys(1, 1, 40, 2))
    for other in (dropout_keys(2, 1, 40, 2), dropout_keys(1, 2, 40, 2)):
        assert not np.intersect1d(KEYS, other).size


def test_units_images_steps_and_layers_are_dropped_independently():
    kept = np.stack([dropout_mask(keys, (64, 96), 0.5) > 0 for keys in KEYS.reshape(-1, 2)])
    signs = kept.astype(float) * 2 - 1  # mean 0, variance 1
    masks, images, units = signs.shape
    for axis, others in ((0, images * units), (1, masks * units), (2, masks * images)):
        lines = np.moveaxis(signs, axis, 0).reshape(signs.shape[axis], -1)
        correlations = lines @ lines.T / others
        off_diagonal = correlations[~np.eye(len(lines), dtype=bool)]
        # Of independent signs they are normal with this standard deviation.
        assert off_diagonal.std() == pytest.approx(1 / np.sqrt(others), rel=0.1)
        assert np.abs(off_diagonal).max() < 5.5 / np.sqrt(others)


def test_each_bit_of_a_number_or_key_changes_half_of_the_hash():
    numbers = np.arange(20_000, dtype=np.uint32)
    keys = KEYS[0, 0].astype(np.uint32)
    before = hashed(numbers, keys)
    for bit in range(32):
        changed = np.uint32(1 << bit)
        for after in (hashed(numbers ^ changed, keys), hashed(numbers, keys ^ [changed, 0])):
            flipped = np.unpackbits((before ^ after).view(np.uint8)).mean()
            assert flipped == pytest.approx(0.5, abs=0.02), f"bit {bit}"
