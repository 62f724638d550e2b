"""The remaining time that a training logs, and its TensorBoard events."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from twinbench.training.progress import Progress, duration, seconds_left

ROW = {
    "train_loss": 1.0,
    "train_accuracy": 0.5,
    "validation_loss": 1.0,
    "validation_accuracy": 0.5,
    "learning_rate": 0.001,
    "images_per_second": 100.0,
}


def test_epochs_to_come_take_what_the_last_of_their_cost_took():
    assert seconds_left([10, 60, 50], [1, 3, 3, 3, 3]) == 100
    assert seconds_left([10, 60], [1, 3, 1, 3]) == 70


def test_epochs_of_another_cost_take_time_in_proportion():
    assert seconds_left([10, 60], [1, 3, 12, 12]) == pytest.approx(480)


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (750, "12:30 min"), (11100, "3:05 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_resumed_training_knows_the_epochs_before(tmp_path, caplog):
    caplog.set_level("INFO")
    progress = Progress([1.0, 3.0, 3.0, 12.0], tmp_path)
    progress.epoch({"epoch": 1, "seconds": 10.0, **ROW}, resumed=True)
    progress.epoch({"epoch": 2, "seconds": 45.0, **ROW})
    progress.close()
    (line,) = caplog.messages  # the resumed epoch was logged before
    assert "2/4" in line and "3:45 min" in line
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2]
    tags = events.Tags()["scalars"]
    assert {"learning_rate", "images_per_second", "validation/accuracy"} <= set(tags)
