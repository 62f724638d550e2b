"""Checkpoints are whole or absent, and found only by the training that made them."""

import logging
import subprocess

import numpy as np
import pytest
from twinbench.errors import InputError
from twinbench.training.checkpoint import Checkpoint, CheckpointInterval, CheckpointStore

KEY, OTHER_KEY = "ab" * 32, "cd" * 32
TENSORS = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3)}
CHECKPOINT = Checkpoint(TENSORS, {"step": 4, "history": [{"loss": 0.1 + 0.2}]})


@pytest.fixture
def store(tmp_path):
    """A store with a checkpoint."""
    store = CheckpointStore(tmp_path, "run", KEY)
    store.save(CHECKPOINT)
    return store


def test_what_was_saved_is_loaded_exactly(store):
    loaded = store.load()
    assert loaded.state == CHECKPOINT.state
    for name, tensor in TENSORS.items():
        assert np.array_equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


def test_another_key_finds_nothing(store, tmp_path):
    assert CheckpointStore(tmp_path, "run", OTHER_KEY).load() is None


@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "empty"])
def test_a_damaged_checkpoint_is_deleted_with_a_warning(store, caplog, damage):
    content = bytearray(store.path.read_bytes())
    if damage == "flipped bit":
        content[-1] ^= 1
    kept = {"flipped bit": content, "cut short": content[:-5], "empty": b""}
    store.path.write_bytes(kept[damage])
    assert store.load() is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(store.path) in caplog.text
    assert not store.path.exists()


def test_clearing_removes_all_of_this_training_and_nothing_of_others(store, tmp_path):
    CheckpointStore(tmp_path, "run", OTHER_KEY).save(CHECKPOINT)
    other = CheckpointStore(tmp_path, "other", KEY)
    other.save(CHECKPOINT)
    (tmp_path / "history.csv").touch()
    store.clear()
    assert {path.name for path in tmp_path.iterdir()} == {"history.csv", other.path.name}


def check_that_a_failed_save_keeps_the_old_checkpoint(store):
    with pytest.raises(InputError) as caught:
        store.save(Checkpoint({"weights": np.ones(1_000_000)}, {}))
    assert str(store.path) in str(caught.value) and "\n" not in str(caught.value)
    assert store.load().state == CHECKPOINT.state
    assert [path.name for path in store.folder.iterdir()] == [store.path.name]


def test_a_file_that_grows_beyond_its_limit_leaves_the_old_checkpoint(store, limit_file_size):
    with limit_file_size(10_000):
        check_that_a_failed_save_keeps_the_old_checkpoint(store)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no right to mount a file system here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_leaves_the_old_checkpoint(small_disk):
    store = CheckpointStore(small_disk, "run", KEY)
    store.save(CHECKPOINT)
    check_that_a_failed_save_keeps_the_old_checkpoint(store)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set forward."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr("time.monotonic", lambda: Clock.now)
    return Clock


def test_of_short_epochs_one_is_saved_after_a_minute_and_so_many_that_it_costs_little(clock):
    interval, saved = CheckpointInterval(), []
    for epoch in range(1, 101):
        clock.now += 10
        if interval.due_after_epoch():
            saved.append(epoch)
            with interval.measured():
                clock.now += 1
    assert saved[0] == 6
    assert 10 < len(saved) <= 100 * 10 * 0.02  # two per cent of the time


def test_every_long_epoch_is_saved_and_within_it_every_ten_minutes(clock):
    interval = CheckpointInterval()
    for _ in range(5):
        clock.now += 300
        assert interval.due_after_epoch() and not interval.due_within_epoch()
        with interval.measured():
            clock.now += 5
    clock.now += 601
    assert interval.due_within_epoch()
