"""Checkpoints are whole or absent, and found only by the training that made them."""

import numpy as np
import pytest
from twinbench.errors import InputError
from twinbench.training.checkpoint import Checkpoint, CheckpointInterval, CheckpointStore, Parts

OTHER = Parts({"seed": 2})
TENSORS = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3)}
CHECKPOINT = Checkpoint(TENSORS, {"step": 4, "history": [{"loss": 0.1 + 0.2}]})


@pytest.fixture
def store(tmp_path):
    """A store with a checkpoint."""
    store = CheckpointStore(tmp_path, "run")
    store.save(CHECKPOINT)
    return store


def test_what_was_saved_is_loaded_exactly(store):
    loaded = store.load()
    assert loaded.state == CHECKPOINT.state
    for name, tensor in TENSORS.items():
        assert np.array_equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


def test_another_training_finds_nothing(store, tmp_path):
    assert CheckpointStore(tmp_path, "run", OTHER).load() is None


def test_clearing_removes_all_of_this_training_and_nothing_of_others(store, tmp_path):
    CheckpointStore(tmp_path, "run", OTHER).save(CHECKPOINT)
    other = CheckpointStore(tmp_path, "other")
    other.save(CHECKPOINT)
    (tmp_path / "history.csv").touch()
    store.clear()
    assert {path.name for path in tmp_path.iterdir()} == {"history.csv", other.path.name}


# --- Other conditions, and other experiments ---------------------------------------------------


def store_of(folder, exact=False, rate=0.1, code="aa", threads=1):
    """The store of a training of these parts."""
    parts = Parts({"training.rate": rate}, {"a.py": code, "b.py": "bb"}, {"threads": threads})
    return CheckpointStore(folder, "run", parts, exact)


def after(epochs):
    return Checkpoint(TENSORS, {"history": [{}] * epochs, "step": 0})


def epochs_of(checkpoint):
    return len(checkpoint.state["history"])


def test_a_checkpoint_made_under_other_conditions_is_taken_up_and_that_is_kept(tmp_path, caplog):
    store_of(tmp_path).save(after(1))
    other = store_of(tmp_path, threads=2)
    assert epochs_of(other.load()) == 1
    assert other.resumed_inexactly == ["threads: 1 then, 2 now"]
    (message,) = caplog.messages
    assert "threads: 1 then, 2 now" in message and "bit for bit" in message
    other.save(after(2))
    again = store_of(tmp_path, threads=2)
    assert epochs_of(again.load()) == 2
    assert again.resumed_inexactly == other.resumed_inexactly


def test_who_insists_on_bits_gets_none_of_other_conditions_and_is_told(tmp_path, caplog):
    store_of(tmp_path).save(after(1))
    exact = store_of(tmp_path, exact=True, threads=2)
    assert exact.load() is None and exact.resumed_inexactly == []
    (message,) = caplog.messages
    assert "training.resume" in message and "threads: 1 then, 2 now" in message
    assert "starts over" in message
    exact.save(after(1))
    assert epochs_of(store_of(tmp_path, exact=True).load()) == 1  # the first one is untouched


def test_who_insists_on_bits_gets_none_that_was_resumed_under_other_conditions(tmp_path):
    store_of(tmp_path).save(after(1))
    other = store_of(tmp_path, threads=2)
    other.load()
    other.save(after(2))
    assert store_of(tmp_path, exact=True, threads=2).load() is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"rate": 0.2}, "training.rate: 0.1 then, 0.2 now"), ({"code": "cc"}, "code: a.py")],
)
def test_of_another_experiment_a_line_says_what_differs(tmp_path, caplog, change, expected):
    store_of(tmp_path).save(after(1))
    assert store_of(tmp_path, **change).load() is None
    (message,) = caplog.messages
    assert message.endswith(f"starts over: {expected}")


def test_the_most_advanced_checkpoint_counts_and_then_that_of_the_same_conditions(tmp_path):
    store_of(tmp_path, threads=2).save(after(2))
    store_of(tmp_path).save(after(1))
    assert epochs_of(store_of(tmp_path).load()) == 2
    store_of(tmp_path).save(after(2))
    same = store_of(tmp_path)
    assert same.load() and same.resumed_inexactly == []


def test_a_message_names_a_few_of_many_differences_and_no_long_values(tmp_path, caplog):
    for values in (1, 2):
        facts = {f"setting{number}": f"{values}" * 100 for number in range(9)}
        parts = Parts(facts)
        store = CheckpointStore(tmp_path, "run", parts)
        store.load()
        store.save(after(1))
    (message,) = caplog.messages
    assert "setting0: 11111111... then, 22222222... now" in message and "and 4 more" in message


def test_a_file_that_grows_beyond_its_limit_leaves_the_old_checkpoint(store, limit_file_size):
    with limit_file_size(10_000), pytest.raises(InputError) as caught:
        store.save(Checkpoint({"weights": np.ones(1_000_000)}, {}))
    assert str(store.path) in str(caught.value) and "\n" not in str(caught.value)
    assert store.load().state == CHECKPOINT.state
    assert [path.name for path in store.folder.iterdir()] == [store.path.name]


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
