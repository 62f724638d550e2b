"""The shared protocol: what is drawn depends on (seed, epoch, step) alone, and numbers are right."""

import math
from itertools import pairwise

import numpy as np
import pytest
from support import training_settings
from twinbench import protocol
from twinbench.architecture import ALEXNET, ALEXNET32, HEAD, VGG16
from twinbench.errors import InputError

PLAIN = {
    "rotation_degrees": 0,
    "shift_fraction": 0,
    "whole_pixels": False,
    "scale_fraction": 0,
    "horizontal_flip": False,
}
AUGMENTATION = {**PLAIN, "rotation_degrees": 15, "shift_fraction": 0.1, "horizontal_flip": True}


def test_an_epoch_shows_each_image_at_most_once_and_another_order_the_next():
    first = protocol.sample_order(1, 1, 103, 10)
    second = protocol.sample_order(1, 2, 103, 10)
    assert first.shape == (10, 10)
    assert len(np.unique(first)) == 100
    assert not np.array_equal(first, second)
    assert np.array_equal(first, protocol.sample_order(1, 1, 103, 10))


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match=r"training\.batch_size: 64 is more than the 20"):
        protocol.sample_order(1, 1, 20, 64)


def test_seeds_differ_in_order_augmentation_dropout_and_weights():
    for draw in (
        lambda seed: protocol.sample_order(seed, 1, 50, 10),
        lambda seed: protocol.augmentation_matrices(seed, 1, 5, 32, 32, AUGMENTATION),
        lambda seed: protocol.dropout_mask(seed, 1, 0, 0, (4, 8), 0.5),
        lambda seed: protocol.initial_weights(seed, ALEXNET32.layers, 32, False)["conv1/kernel"],
    ):
        assert not np.array_equal(draw(1), draw(2))


def test_without_augmentation_the_matrix_is_a_plain_resize():
    matrices = protocol.augmentation_matrices(1, 1, 3, 32, 64, PLAIN)
    assert np.allclose(matrices, protocol.plain_matrices(3, 32, 64))
    # The outer edges of input and output fall together.
    assert np.allclose(matrices[0] @ [-0.5, -0.5, 1], [-0.5, -0.5])
    assert np.allclose(matrices[0] @ [63.5, 63.5, 1], [31.5, 31.5])


def test_a_flip_mirrors_about_the_middle():
    settings = {**PLAIN, "horizontal_flip": True}
    matrices = protocol.augmentation_matrices(1, 1, 200, 32, 32, settings)
    flipped = matrices[:, 0, 0] < 0
    assert 70 < flipped.sum() < 130
    assert np.allclose(matrices[flipped] @ [0, 5, 1], [31, 5])


def test_rotation_and_shift_stay_within_their_limits():
    settings = {**PLAIN, "rotation_degrees": 20, "shift_fraction": 0.25}
    matrices = protocol.augmentation_matrices(3, 1, 1000, 32, 32, settings)
    angles = np.degrees(np.arctan2(matrices[:, 0, 1], matrices[:, 0, 0]))
    shifts = matrices @ [15.5, 15.5, 1] - 15.5
    assert 19 < np.abs(angles).max() <= 20.001
    assert 7.5 < np.abs(shifts).max() <= 8.001


def test_shifts_by_whole_pixels_read_no_pixel_between_others():
    settings = {**PLAIN, "shift_fraction": 0.1, "whole_pixels": True, "horizontal_flip": True}
    read = protocol.augmentation_matrices(3, 1, 1000, 32, 32, settings) @ [5, 7, 1]
    assert np.array_equal(read, np.round(read))
    # Of images of 32 pixels, 0.1 are 3 either way, each of them in use.
    assert set(np.unique(read[:, 1] - 7)) == set(range(-3, 4))


def test_scales_stay_within_their_limits_about_the_middle_and_change_no_other_draw():
    scaled = protocol.augmentation_matrices(
        3, 1, 1000, 32, 32, {**AUGMENTATION, "scale_fraction": 0.2}
    )
    plain = protocol.augmentation_matrices(3, 1, 1000, 32, 32, AUGMENTATION)
    scales = np.sqrt(np.linalg.det(plain[:, :, :2]) / np.linalg.det(scaled[:, :, :2]))
    assert 0.8 <= scales.min() < 0.81
    assert 1.19 < scales.max() <= 1.2
    assert np.allclose(scaled[:, :, :2] * scales[:, None, None], plain[:, :, :2], atol=1e-5)
    middle = [15.5, 15.5, 1]
    assert np.allclose(scaled @ middle, plain @ middle, atol=1e-4)


def test_dropout_drops_its_rate_and_keeps_the_mean():
    mask = protocol.dropout_mask(1, 1, 0, 0, (400, 500), 0.3)
    assert set(np.unique(mask)) == {0, np.float32(1) / np.float32(0.7)}
    assert (mask == 0).mean() == pytest.approx(0.3, abs=0.005)
    assert mask.mean() == pytest.approx(1, abs=0.01)


def test_initial_weights_have_he_variance_and_the_head_unit_variance():
    weights = protocol.initial_weights(1, ALEXNET32.with_head(10), 32, False)
    for layer, fan_in in (("conv2", 9 * 64), ("dense2", 4096)):
        assert weights[f"{layer}/kernel"].std() == pytest.approx(math.sqrt(2 / fan_in), rel=0.01)
    assert weights["head/kernel"].std() == pytest.approx(math.sqrt(1 / 4096), rel=0.01)
    assert weights["head/kernel"].shape == (4096, 10)
    assert not weights["conv1/bias"].any()


def test_folding_batch_normalisation_keeps_what_the_layer_computes():
    random = np.random.default_rng(0)
    weights = {
        "conv/kernel": random.normal(size=(1, 1, 3, 4)).astype(np.float32),
        "conv/bias": random.normal(size=4).astype(np.float32),
        "conv/gamma": random.normal(size=4).astype(np.float32),
        "conv/beta": random.normal(size=4).astype(np.float32),
        "conv/mean": random.normal(size=4).astype(np.float32),
        "conv/variance": random.uniform(0.5, 2, 4).astype(np.float32),
    }
    folded = protocol.fold_batch_normalisation(weights)
    inputs = random.normal(size=(5, 3))
    plain = inputs @ weights["conv/kernel"][0, 0] + weights["conv/bias"]
    normalised = (plain - weights["conv/mean"]) / np.sqrt(weights["conv/variance"] + 1e-5)
    expected = normalised * weights["conv/gamma"] + weights["conv/beta"]
    assert set(folded) == {"conv/kernel", "conv/bias"}
    assert np.allclose(inputs @ folded["conv/kernel"][0, 0] + folded["conv/bias"], expected)


def test_the_head_trains_alone_first_then_all_but_frozen_layers():
    settings = training_settings(
        model="vgg16",
        epochs=5,
        head={"epochs": 2},
        frozen=["block1", "block2"],
        rate_factors={"block": 0.1, "block5": 0.5},
    )
    head, rest = protocol.phases(settings, VGG16)
    assert (head.first_epoch, head.last_epoch, rest.first_epoch, rest.last_epoch) == (1, 2, 3, 5)
    assert [name for name in head.factors if head.trained(name)] == [HEAD]
    assert not rest.trained("block2_conv1")
    assert rest.factors["block3_conv1"] == 0.1
    assert rest.factors["block5_conv1"] == 0.5
    assert rest.factors[HEAD] == 1


def test_the_rate_warms_up_to_its_peak_and_falls_to_its_end():
    settings = training_settings(epochs=4, learning_rate=1.0, schedule={"warmup_fraction": 0.25})
    (phase,) = protocol.phases(settings, ALEXNET)
    rates = [
        protocol.learning_rate(phase, epoch, step, 10, settings["schedule"])
        for epoch in range(1, 5)
        for step in range(10)
    ]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1
    assert rates[25] == pytest.approx(0.5)
    assert rates[-1] < 0.01
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_the_schedules_other_shapes():
    for shape, expected in (("constant", 1.0), ("linear", 0.55)):
        schedule = {"shape": shape, "warmup_fraction": 0, "final_fraction": 0.1}
        settings = training_settings(epochs=1, learning_rate=1.0, schedule=schedule)
        (phase,) = protocol.phases(settings, ALEXNET)
        assert protocol.learning_rate(phase, 1, 5, 10, schedule) == pytest.approx(expected)


def _history(*losses: float) -> list[dict]:
    return [
        {"epoch": i, "validation_loss": loss, "validation_accuracy": 1 - loss}
        for i, loss in enumerate(losses, start=1)
    ]


def test_the_best_epoch_is_the_most_accurate_and_the_earliest_of_equals():
    assert protocol.chosen_epoch(_history(0.5, 0.2, 0.3, 0.2), "best") == 2
    assert protocol.chosen_epoch(_history(0.5, 0.2, 0.3), "last") == 3


def test_early_stopping_waits_for_its_patience():
    assert not protocol.should_stop(_history(0.5, 0.4, 0.45), 2)
    assert protocol.should_stop(_history(0.5, 0.4, 0.45, 0.41), 2)
    assert not protocol.should_stop(_history(0.5, 0.6, 0.7), None)


def test_the_rate_falls_after_each_plateau():
    assert protocol.plateau_factor(_history(0.5, 0.6), 2, 0.5) == 1
    assert protocol.plateau_factor(_history(0.5, 0.6, 0.7), 2, 0.5) == 0.5
    assert protocol.plateau_factor(_history(0.5, 0.6, 0.7, 0.8, 0.9), 2, 0.5) == 0.25
    assert protocol.plateau_factor([], None, 0.5) == 1
