"""Augmentation stays within its settings, and each random change is independent of the others."""

import numpy as np
from support import NO_AUGMENTATION, training_settings
from twinbench.recipe.augmentation import augmentation_matrices, evaluation_matrices

CENTRE = [15.5, 15.5, 1]


def matrices(count=1000, output_size=32, **changes):
    settings = training_settings(augmentation=NO_AUGMENTATION | changes).augmentation
    return augmentation_matrices(3, 1, count, 32, output_size, settings)


def test_without_augmentation_the_matrix_is_a_plain_resize_between_the_outer_edges():
    plain = matrices(count=3, output_size=64)
    assert np.allclose(plain, evaluation_matrices(3, 32, 64))
    assert np.allclose(plain[0] @ [-0.5, -0.5, 1], [-0.5, -0.5])
    assert np.allclose(plain[0] @ [63.5, 63.5, 1], [31.5, 31.5])


def test_half_of_the_images_are_mirrored_about_the_middle():
    found = matrices(horizontal_flip=True)
    flipped = found[:, 0, 0] < 0
    assert 400 < flipped.sum() < 600
    assert np.allclose(found[flipped] @ [0, 5, 1], [31, 5])


def test_rotation_and_shift_stay_within_their_limits():
    found = matrices(rotation_degrees=20, shift_fraction=0.25)
    angles = np.degrees(np.arctan2(found[:, 0, 1], found[:, 0, 0]))
    shifts = found @ CENTRE - 15.5
    assert 19 < np.abs(angles).max() <= 20.001
    assert 7.5 < np.abs(shifts).max() <= 8.001


def test_shifts_by_whole_pixels_need_no_interpolation():
    found = matrices(shift_fraction=0.1, whole_pixels=True, horizontal_flip=True) @ [5, 7, 1]
    assert np.array_equal(found, np.round(found))
    assert set(found[:, 1] - 7) == set(range(-3, 4))  # 0.1 of 32 pixels


def test_scales_stay_within_their_limits_and_change_nothing_else():
    plain = matrices(rotation_degrees=15, shift_fraction=0.1)
    scaled = matrices(rotation_degrees=15, shift_fraction=0.1, scale_fraction=0.2)
    scales = np.sqrt(np.linalg.det(plain[:, :, :2]) / np.linalg.det(scaled[:, :, :2]))
    assert 0.8 <= scales.min() < 0.81
    assert 1.19 < scales.max() <= 1.2
    assert np.allclose(scaled[:, :, :2] * scales[:, None, None], plain[:, :, :2], atol=1e-5)
    assert np.allclose(scaled @ CENTRE, plain @ CENTRE, atol=1e-4)
