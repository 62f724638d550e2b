"""What the training loop decides: phases, the result, when to stop, and what an interruption leaves.

A scripted backend stands for a framework where the loop alone is tested.
"""

import signal
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from frameworks import EACH_FRAMEWORK, PyTorch
from support import TINY_RESIZABLE, make_job
from trainings import Interrupting, train
from twinbench.training import loop
from twinbench.training.checkpoint import CheckpointInterval, CheckpointStore
from twinbench.training.loop import Interrupted
from twinbench.training.progress import Progress


class Scripted:
    """Trains nothing. `losses` are its validation losses by epoch, its weights the epoch's number."""

    def __init__(self, job, losses):
        self._job, self._losses = job, losses
        self._epoch = 0
        self.phases, self.learning_rates, self.sizes = [], [], []

    def start_phase(self, phase):
        self.phases.append((phase.name, self._epoch + 1))

    def start_epoch(self, plan, first_step):
        self._epoch = plan.epoch
        self.learning_rates.append(plan.learning_rates)
        self.sizes.append(self.input_size)

    def train(self, first, last):
        pass

    def running_metrics(self, steps):
        return 1.0, 0.5

    def logits(self, images):
        """Of equal probability for all classes but the label's, whose probability gives the loss."""
        labels = self._job.validation.labels
        right = np.exp(-self._losses[self._epoch - 1])
        probabilities = np.full((len(labels), self._job.classes), (1 - right) / 9)
        probabilities[np.arange(len(labels)), labels] = right
        return np.log(probabilities).astype(np.float32)

    def probe(self, images):
        return np.random.default_rng(self._epoch).normal(size=(len(images), 10)), {}

    def weights(self):
        return {"epoch": np.array(self._epoch)}

    def keep_weights(self):
        self._kept = self.weights()

    def use_kept_weights(self):
        self.weights = lambda: self._kept

    def state(self):
        return self.weights()

    def restore(self, state):
        self._epoch = int(state["epoch"])


def scripted(tmp_path, losses, progress=None, **changes):
    job = make_job(TINY_RESIZABLE, **{"epochs": len(losses), **changes})
    return train(lambda job: Scripted(job, losses), job, tmp_path, progress)


@pytest.mark.parametrize(("which", "expected"), [("best", 2), ("last", 4)])
def test_the_backend_ends_with_the_selected_epochs_weights(tmp_path, which, expected):
    backend, outcome = scripted(tmp_path, [2.0, 1.0, 1.5, 1.2], selected_epoch=which)
    assert outcome.selected_epoch == expected
    assert backend.weights()["epoch"] == expected
    assert [row["validation_loss"] for row in outcome.history] == pytest.approx([2, 1, 1.5, 1.2])


def test_early_stopping_ends_the_training(tmp_path):
    losses = [2.0, 1.0, 1.5, 1.2, 0.5]
    _, outcome = scripted(tmp_path, losses, early_stopping={"patience": 2})
    assert len(outcome.history) == 4


def test_a_plateau_lowers_the_learning_rates_of_the_next_epochs(tmp_path):
    plain, _ = scripted(tmp_path / "plain", [1.0, 1.5, 1.2, 1.1])
    plateau = {"patience": 2, "factor": 0.1}
    lowered, outcome = scripted(tmp_path, [1.0, 1.5, 1.2, 1.1], reduce_on_plateau=plateau)
    scales = np.stack(lowered.learning_rates)[:, 0] / np.stack(plain.learning_rates)[:, 0]
    assert scales == pytest.approx([1, 1, 1, 0.1])
    assert outcome.history[-1]["learning_rate"] == lowered.learning_rates[-1][-1]


def test_each_phase_starts_once_and_small_images_come_first(tmp_path):
    resizing = {"epochs": 1, "input_size": 32}
    changes = {"input_size": 48, "progressive_resizing": resizing, "head": {"epochs": 2}}
    backend, outcome = scripted(tmp_path, [2.0, 1.0, 1.5], **changes)
    assert backend.phases == [("head", 1), ("all", 3)]
    assert backend.sizes == [32, 48, 48]
    assert backend.input_size == 48 and outcome.selected_epoch == 2


@pytest.fixture
def of_a_closed_terminal():
    """Sets what this process does on SIGHUP, which the tests themselves may be started to ignore."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda action: signal.signal(signal.SIGHUP, action)
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(("step", "expected"), [(2, (0, 2)), (3, (1, 0))])
def test_an_interruption_saves_the_step_or_the_finished_epoch(
    tmp_path, monkeypatch, of_a_closed_terminal, number, step, expected
):
    of_a_closed_terminal(signal.SIG_DFL)
    monkeypatch.setattr(loop, "_SECONDS_OF_A_PART", 0)  # step by step
    with pytest.raises(Interrupted):
        scripted(tmp_path, [2.0, 1.0], Interrupting(tmp_path / "events", 1, step, number))
    state = CheckpointStore(tmp_path, "run").load().state
    assert (len(state["history"]), state["step"]) == expected


def test_under_nohup_a_closed_terminal_interrupts_nothing(tmp_path, of_a_closed_terminal):
    of_a_closed_terminal(signal.SIG_IGN)
    closing = Interrupting(tmp_path / "events", 1, 3, signal.SIGHUP)
    _, outcome = scripted(tmp_path, [2.0, 1.0], closing)
    assert len(outcome.history) == 2


def test_a_killed_training_has_the_checkpoint_of_the_last_so_many_steps(tmp_path):
    class Killing(Progress):
        def step(self, epoch, done, steps):
            if done == 3:
                raise RuntimeError

    job = replace(make_job(), checkpoint_steps=2)
    with pytest.raises(RuntimeError):
        train(lambda job: Scripted(job, [1.0]), job, tmp_path, Killing([1.0], tmp_path / "events"))
    assert CheckpointStore(tmp_path, "run").load().state["step"] == 2


def test_a_signal_between_two_reads_of_the_flag_is_not_lost(tmp_path, monkeypatch):
    reads = iter([False, *[True] * 9])
    monkeypatch.setattr(loop, "_interruption", lambda: nullcontext(lambda: next(reads)))
    with pytest.raises(Interrupted):
        scripted(tmp_path, [1.0])
    assert CheckpointStore(tmp_path, "run").load()


# --- Interruptions, by both frameworks ---------------------------------------------------------

# Two phases, dropout, batch normalisation, decay and a schedule: all that could depend on history.
SETTINGS = {
    "epochs": 3,
    "head": {"epochs": 1},
    "dropout": 0.5,
    "batch_normalisation": True,
    "optimiser": {"weight_decay": 0.01},
    "selected_epoch": "last",
}


def train_real(make_backend, folder, progress=None, **changes):
    return train(make_backend, make_job(**{**SETTINGS, **changes}), folder, progress)


def result(trained):
    """Everything that a training decides, bit for bit: its history without times, and its weights."""
    backend, outcome = trained
    timed = ("seconds", "images_per_second")
    history = [{k: v for k, v in row.items() if k not in timed} for row in outcome.history]
    return history, {name: value.tobytes() for name, value in backend.weights().items()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The result of a training that nothing disturbs, once for each framework and protocol."""
    results = {}

    def get(make_backend, protocol):
        key = make_backend, protocol
        if key not in results:
            folder = tmp_path_factory.mktemp("uninterrupted")
            results[key] = result(train_real(make_backend, folder, protocol=protocol))
        return results[key]

    return get


@EACH_FRAMEWORK
@pytest.mark.parametrize(
    ("protocol", "epoch", "step"),
    [("harmonised", 1, 3), ("harmonised", 2, 1), ("native", 2, 1)],
)
def test_a_terminated_training_resumes_to_the_same_bits(
    make_backend, protocol, epoch, step, tmp_path, uninterrupted
):
    with pytest.raises(Interrupted):
        progress = Interrupting(tmp_path / "events", epoch, step)
        train_real(make_backend, tmp_path, progress, protocol=protocol)
    resumed = train_real(make_backend, tmp_path, protocol=protocol)
    assert result(resumed) == uninterrupted(make_backend, protocol)


@EACH_FRAMEWORK
def test_another_seed_gives_another_training(make_backend, tmp_path, uninterrupted):
    _, weights = result(train_real(make_backend, tmp_path, seed=2))
    _, expected = uninterrupted(make_backend, "harmonised")
    kernels = [name for name in weights if name.endswith("kernel")]
    assert not any(weights[name] == expected[name] for name in kernels)


def test_a_finished_training_is_not_repeated(tmp_path, monkeypatch):
    """As when it was killed while its outputs were written; each of its epochs is saved here."""
    monkeypatch.setattr(CheckpointInterval, "due_after_epoch", lambda interval: True)
    expected, outcome = train_real(PyTorch, tmp_path, selected_epoch="best")
    backend, again = train_real(PyTorch, tmp_path, selected_epoch="best")
    assert again == outcome  # the very rows, times included
    assert result((backend, again)) == result((expected, outcome))


@EACH_FRAMEWORK
def test_frozen_layers_keep_their_weights(make_backend, tmp_path):
    job = make_job(epochs=1, frozen=["conv"], batch_normalisation=True)
    backend, _ = train(make_backend, job, tmp_path)
    initial, trained = job.initial_weights(), backend.weights()
    for name, value in initial.items():
        assert np.array_equal(value, trained[name]) == name.startswith("conv"), name
