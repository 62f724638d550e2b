"""The training loop over epochs, the same for every framework.

A framework takes part as an `Arm`: it trains one epoch, computes logits, and hands out its state. All
else is decided here: what is trained when, what is kept, when to stop, what an interruption leaves.
"""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from twinbench import protocol
from twinbench.checkpoint import Checkpoint, Pace, Store, Tensors
from twinbench.collapse import Collapsed, Guard, Inspected
from twinbench.job import Job
from twinbench.precision import Precision
from twinbench.progress import Progress
from twinbench.protocol import Phase, Weights

log = logging.getLogger(__name__)

# Called after each step with the number of steps done in the epoch.
AfterStep = Callable[[int], None]


class Interrupted(Exception):
    """The process was asked to end; the state is saved. The text says where."""


class Arm(Inspected, Protocol):
    """What a framework gives to a training. Its constructor takes a `Job` and sets its weights.

    `device` names the processor or accelerator, `libraries` the distributions whose versions count,
    `precision` the arithmetic of the net.
    `input_size` is the side of the images that the net is given from now on; the training sets it.
    """

    device: str
    libraries: tuple[str, ...]
    precision: Precision
    input_size: int

    def start_phase(self, phase: Phase) -> None:
        """Make a fresh optimiser for the layers that the phase trains."""

    def train_epoch(
        self, phase: Phase, epoch: int, first_step: int, rate_factor: float, after_step: AfterStep
    ) -> None:
        """Train from `first_step` to the end of the epoch."""

    def means(self, steps: int) -> tuple[float, float]:
        """Mean loss and accuracy of the epoch's `steps` steps so far.

        Those before a resumption are included: their sums belong to the state.
        """

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits float32 (n, classes) of uint8 images (n, height, width, 3), without dropout."""

    def state(self) -> Tensors:
        """All that the next step depends on: weights, optimiser, the epoch's running sums."""

    def restore(self, state: Tensors) -> None:
        """Take up a `state`, after `start_phase` of the phase that it was saved in."""

    def weights(self) -> Weights:
        """The net's weights in the framework-free layout of `protocol.initial_weights`."""

    def set_weights(self, weights: Weights) -> None:
        """The inverse of `weights`."""

    def save_model(self, path: Path) -> None:
        """Write the net in the format that the framework's users exchange."""


@dataclass(frozen=True)
class Outcome:
    """A finished training: a row an epoch, and the kept epoch, whose weights are in the arm.

    `diagnosis` says why it collapsed, in a sentence or two; it is None for a training that did not.
    """

    history: list[dict]
    chosen_epoch: int
    diagnosis: str | None


@dataclass(frozen=True)
class _Session:
    """Who takes part in a training, from its start or resumption to its end."""

    job: Job
    arm: Arm
    store: Store
    progress: Progress
    pace: Pace
    guard: Guard
    interrupted: Callable[[], bool]


@dataclass(frozen=True)
class _Position:
    """Where a training stands: rows of finished epochs, the best weights, and within an epoch the steps
    that are done and the seconds that they took."""

    history: list[dict]
    best: Weights
    step: int = 0
    seconds: float = 0.0


def train(job: Job, arm: Arm, store: Store, progress: Progress) -> Outcome:
    """Train from the start or from the store's checkpoint, and leave the chosen weights in `arm`.

    Raises `Interrupted` after SIGTERM or SIGINT (Ctrl-C), once the state is saved.
    """
    keep, patience = job.settings["keep"], job.settings["early_stopping"]["patience"]
    diagnosis = None
    with _interruption() as interrupted:
        session = _Session(job, arm, store, progress, Pace(), Guard(job), interrupted)
        position = _resume(session)
        for phase, epoch in _remaining_epochs(job, len(position.history)):
            if protocol.should_stop(position.history, patience):
                log.info("no better validation loss lately: stopped after epoch %d", epoch - 1)
                break
            if epoch == phase.first_epoch and position.step == 0:
                arm.start_phase(phase)
            arm.input_size = job.input_size_in(epoch)
            row, diagnosis = _train_epoch(session, phase, epoch, position)
            progress.epoch(row)
            history = [*position.history, row]
            is_best = protocol.chosen_epoch(history, keep) == epoch
            position = _Position(history, arm.weights() if is_best else position.best)
            if diagnosis:
                log.warning("collapsed in epoch %d: %s", epoch, diagnosis)
                break
            if session.pace.due_after_epoch() or interrupted():
                _save(session, position)
            if interrupted():
                raise Interrupted(f"after epoch {epoch}")
    log.info("checkpoints: %s", session.pace)
    chosen = protocol.chosen_epoch(position.history, keep)
    arm.set_weights(position.best)
    arm.input_size = job.input_size_in(chosen)
    return Outcome(position.history, chosen, diagnosis)


def _train_epoch(
    session: _Session, phase: Phase, epoch: int, position: _Position
) -> tuple[dict, str | None]:
    """One epoch and its validation, as a row of the history, and why it collapsed, if it did.

    A collapse ends the epoch: its row holds what there is.
    """
    job, arm, guard = session.job, session.arm, session.guard
    settings, steps = job.settings, job.steps_per_epoch
    before, last = (epoch - 1) * steps, position.step
    start = time.monotonic() - position.seconds

    def after_step(done: int) -> None:
        nonlocal last
        last = done
        session.progress.step(epoch, done, steps)
        if done == steps or guard.due(before + done):
            guard.look(arm, before + done)
        if done < steps and (_checkpoint_is_due(session, done) or session.interrupted()):
            seconds = time.monotonic() - start
            _save(session, _Position(position.history, position.best, done, seconds))
        if done < steps and session.interrupted():
            raise Interrupted(f"in epoch {epoch} after step {done} of {steps}")

    plateau = settings["reduce_on_plateau"]
    factor = protocol.plateau_factor(position.history, plateau["patience"], plateau["factor"])
    diagnosis = None
    try:
        if before + position.step == 0:
            guard.look(arm, 0)
        arm.train_epoch(phase, epoch, position.step, factor, after_step)
    except Collapsed as collapsed:
        diagnosis = str(collapsed)
    train_loss, train_accuracy = arm.means(last) if last else (math.nan, math.nan)
    validation_loss, validation_accuracy = job.evaluate(arm.logits, job.validation)
    rate = protocol.learning_rate(phase, epoch, max(0, last - 1), steps, settings["schedule"])
    elapsed = time.monotonic() - start
    row = {
        "epoch": epoch,
        "phase": phase.name,
        "seconds": elapsed,
        "images_per_second": last * settings["batch_size"] / elapsed,
        "learning_rate": rate * factor,
        "input_size": arm.input_size,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "validation_loss": validation_loss,
        "validation_accuracy": validation_accuracy,
        "dead_relus": guard.dead_relus,
        "collapsed": diagnosis is not None,
    }
    return row, diagnosis


def _checkpoint_is_due(session: _Session, done: int) -> bool:
    """Whether one is due within an epoch, of which `done` steps are done."""
    every = session.job.checkpoint_steps
    return (every > 0 and done % every == 0) or session.pace.due_within_epoch()


def _remaining_epochs(job: Job, done: int) -> Iterator[tuple[Phase, int]]:
    for phase in protocol.phases(job.settings, job.architecture):
        for epoch in range(max(phase.first_epoch, done + 1), phase.last_epoch + 1):
            yield phase, epoch


def _save(session: _Session, position: _Position) -> None:
    with session.pace.measured():
        tensors = {f"arm/{name}": tensor for name, tensor in session.arm.state().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in position.best.items()}
        state = {
            "history": position.history,
            "step": position.step,
            "seconds": position.seconds,
            "guard": session.guard.state(),
        }
        session.store.save(Checkpoint(tensors, state))


def _resume(session: _Session) -> _Position:
    """Where to go on from: the store's checkpoint, which arm and guard take up, or the start."""
    checkpoint = session.store.load()
    if checkpoint is None:
        return _Position([], {})
    state = checkpoint.state
    for row in state["history"]:
        session.progress.epoch(row, resumed=True)
    done = len(state["history"])
    # The optimiser in the state is that of the phase of the last step taken.
    last = done + 1 if state["step"] else done
    phase = next(
        p
        for p in protocol.phases(session.job.settings, session.job.architecture)
        if p.first_epoch <= last <= p.last_epoch
    )
    session.arm.start_phase(phase)
    session.arm.restore(_part(checkpoint.tensors, "arm/"))
    session.guard.restore(state["guard"])
    log.info("resumed from the checkpoint after epoch %d, step %d", done, state["step"])
    best = _part(checkpoint.tensors, "best/")
    return _Position(state["history"], best, state["step"], state["seconds"])


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM and SIGINT only set the flag that the yielded function reads."""
    received = []
    before = {
        number: signal.signal(number, lambda number, frame: received.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
