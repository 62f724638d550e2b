"""What is trained when, at which learning rate, and which epoch is the result."""

from itertools import pairwise

import pytest
from support import TINY, training_settings
from twinbench.networks.architectures import HEAD, VGG16
from twinbench.recipe import schedule


def test_the_head_trains_alone_first_then_all_but_frozen_layers():
    settings = training_settings(
        epochs=5,
        head={"epochs": 2},
        frozen=["block1", "block2"],
        learning_rate_multipliers={"block": 0.1, "block5": 0.5},
    )
    head, rest = schedule.phases(settings, VGG16)
    assert (head.first_epoch, head.last_epoch, rest.first_epoch, rest.last_epoch) == (1, 2, 3, 5)
    assert [name for name in head.multipliers if head.trains(name)] == [HEAD]
    assert not rest.trains("block2_conv1")
    assert rest.multipliers["block3_conv1"] == 0.1
    assert rest.multipliers["block5_conv1"] == 0.5
    assert rest.multipliers[HEAD] == 1


def rates(epochs=1, **changes):
    settings = training_settings(epochs=epochs, learning_rate=1.0, schedule=changes)
    (phase,) = schedule.phases(settings, TINY)
    steps = [(epoch, step) for epoch in range(1, epochs + 1) for step in range(10)]
    return [schedule.learning_rate(phase, *at, 10, settings.schedule) for at in steps]


def test_the_learning_rate_warms_up_to_its_peak_and_falls_to_its_end():
    found = rates(epochs=4, warmup_fraction=0.25)
    assert found[0] == pytest.approx(0.1)
    assert max(found) == found[9] == found[10] == 1
    assert found[25] == pytest.approx(0.5)
    assert found[-1] < 0.01
    assert all(a > b for a, b in pairwise(found[10:]))


@pytest.mark.parametrize(("shape", "expected"), [("constant", 1.0), ("linear", 0.55)])
def test_the_schedules_other_shapes(shape, expected):
    found = rates(shape=shape, warmup_fraction=0, final_fraction=0.1)
    assert found[5] == pytest.approx(expected)


def history(*losses: float) -> list[dict]:
    return [
        {"epoch": epoch, "validation_loss": loss, "validation_accuracy": 1 - loss}
        for epoch, loss in enumerate(losses, start=1)
    ]


def test_the_best_epoch_is_the_most_accurate_then_the_least_loss_then_the_earliest():
    assert schedule.selected_epoch(history(0.5, 0.2, 0.3, 0.2), "best") == 2
    assert schedule.selected_epoch(history(0.5, 0.2, 0.3), "last") == 3
    equal = [row | {"validation_accuracy": 0.5} for row in history(0.5, 0.2, 0.3)]
    assert schedule.selected_epoch(equal, "best") == 2


def test_early_stopping_waits_for_its_patience():
    assert not schedule.should_stop(history(0.5, 0.4, 0.45), 2)
    assert schedule.should_stop(history(0.5, 0.4, 0.45, 0.41), 2)
    assert not schedule.should_stop(history(0.5, 0.6, 0.7), None)


def test_the_learning_rate_falls_after_each_plateau():
    assert schedule.plateau_scale(history(0.5, 0.6), 2, 0.5) == 1
    assert schedule.plateau_scale(history(0.5, 0.6, 0.7), 2, 0.5) == 0.5
    assert schedule.plateau_scale(history(0.5, 0.6, 0.7, 0.8, 0.9), 2, 0.5) == 0.25
    assert schedule.plateau_scale(history(0.5, 0.6, 0.7), None, 0.5) == 1
