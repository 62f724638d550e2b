"""Checkpoints: whole or not there, and only for the training that made them."""

import logging
import subprocess

import numpy as np
import pytest
from twinbench.checkpoint import Checkpoint, Pace, Store
from twinbench.errors import InputError

KEY = "ab" * 32


@pytest.fixture
def checkpoint():
    tensors = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3)}
    return Checkpoint(tensors, {"step": 4, "history": [{"loss": 0.1 + 0.2}]})


def test_what_was_saved_is_loaded_exactly(tmp_path, checkpoint):
    store = Store(tmp_path, "run", KEY)
    store.save(checkpoint)
    loaded = store.load()
    assert loaded.state == checkpoint.state
    for name, tensor in checkpoint.tensors.items():
        assert np.array_equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


def test_another_key_finds_nothing(tmp_path, checkpoint):
    Store(tmp_path, "run", KEY).save(checkpoint)
    assert Store(tmp_path, "run", "cd" * 32).load() is None


@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "empty"])
def test_a_damaged_checkpoint_is_thrown_away_with_a_warning(tmp_path, checkpoint, caplog, damage):
    store = Store(tmp_path, "run", KEY)
    store.save(checkpoint)
    content = bytearray(store.path.read_bytes())
    if damage == "flipped bit":
        content[-1] ^= 1
    store.path.write_bytes(
        {"flipped bit": content, "cut short": content[:-5], "empty": b""}[damage]
    )
    with caplog.at_level(logging.WARNING):
        assert store.load() is None
    assert "damaged" in caplog.text
    assert not store.path.exists()


def test_clearing_removes_all_of_this_training_and_nothing_of_others(tmp_path, checkpoint):
    Store(tmp_path, "run", KEY).save(checkpoint)
    Store(tmp_path, "run", "cd" * 32).save(checkpoint)
    other = Store(tmp_path, "other", KEY)
    other.save(checkpoint)
    (tmp_path / "history.csv").touch()
    Store(tmp_path, "run", KEY).clear()
    assert {path.name for path in tmp_path.iterdir()} == {"history.csv", other.path.name}


def test_a_full_disk_is_one_clear_line_and_leaves_the_old_checkpoint(
    tmp_path, checkpoint, limit_file_size
):
    store = Store(tmp_path, "run", KEY)
    store.save(checkpoint)
    large = Checkpoint({"weights": np.zeros(1_000_000)}, {})
    with limit_file_size(10_000), pytest.raises(InputError, match="could not be written"):
        store.save(large)
    assert store.load().state == checkpoint.state
    assert [path.name for path in tmp_path.iterdir()] == [store.path.name]


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


def test_a_disk_that_fills_up_leaves_the_old_checkpoint(small_disk, checkpoint):
    store = Store(small_disk, "run", KEY)
    store.save(checkpoint)
    with pytest.raises(InputError, match=r"could not be written .*; make room"):
        store.save(Checkpoint({"weights": np.ones(1_000_000)}, {}))
    assert store.load().state == checkpoint.state
    assert [path.name for path in small_disk.iterdir()] == [store.path.name]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set forward."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr("time.monotonic", lambda: Clock.now)
    return Clock


def test_the_first_epoch_is_saved_and_short_ones_only_now_and_then(clock):
    pace, saved = Pace(), []
    for epoch in range(1, 101):
        clock.now += 10
        if pace.due_after_epoch():
            saved.append(epoch)
            with pace.measured():
                clock.now += 1
    assert saved[0] == 1
    assert len(saved) <= 100 * 10 * 0.02 + 1  # two per cent of the time, and the first
    assert str(pace).startswith(f"{len(saved)} written in {len(saved)}.00 s, ")


def test_every_long_epoch_is_saved_and_within_it_every_ten_minutes(clock):
    pace = Pace()
    for _ in range(5):
        clock.now += 300
        assert pace.due_after_epoch() and not pace.due_within_epoch()
        with pace.measured():
            clock.now += 5
    clock.now += 601
    assert pace.due_within_epoch()
