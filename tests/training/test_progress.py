"""The time that a training says is left."""

import pytest
from support import make_job
from twinbench.progress import Progress, seconds_left

ROW = {
    "train_loss": 1.0,
    "train_accuracy": 0.5,
    "validation_loss": 1.0,
    "validation_accuracy": 0.5,
    "learning_rate": 0.001,
    "images_per_second": 100.0,
}


def test_epochs_of_the_head_and_of_small_images_count_for_less():
    job = make_job(
        model="vgg16",
        epochs=4,
        input_size=64,
        head={"epochs": 1},
        progressive_resizing={"epochs": 2, "input_size": 32},
    )
    head, small, large, last = job.work_of_epochs
    assert (small / head, large / small, last / large) == (3, 4, 1)


def test_epochs_to_come_take_what_the_last_of_their_kind_took():
    assert seconds_left([10, 60, 50], [1, 3, 3, 3, 3]) == 100
    assert seconds_left([10, 60], [1, 3, 1, 3]) == 70


def test_epochs_of_a_kind_not_seen_yet_take_more_in_proportion_to_their_work():
    assert seconds_left([10, 60], [1, 3, 12, 12]) == pytest.approx(480)


def test_a_resumed_training_tells_what_is_left_by_the_epochs_before(tmp_path, caplog):
    caplog.set_level("INFO")
    progress = Progress([1.0, 3.0, 3.0, 12.0], tmp_path)
    progress.epoch({"epoch": 1, "seconds": 10.0, **ROW}, resumed=True)
    progress.epoch({"epoch": 2, "seconds": 45.0, **ROW})
    progress.close()
    (line,) = caplog.messages
    assert line.startswith("epoch 2/4: ") and line.endswith(", 3:45 min left")
