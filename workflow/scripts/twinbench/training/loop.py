"""The training loop over epochs, the same for every backend.

Each epoch is planned here and executed by the backend; between steps this module probes for a collapse,
saves checkpoints and reacts to interruptions.
"""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from twinbench.backends.backend import Backend
from twinbench.recipe import schedule
from twinbench.recipe.epoch_plan import EpochPlan
from twinbench.recipe.schedule import History, Phase
from twinbench.training.checkpoint import Checkpoint, CheckpointInterval, CheckpointStore
from twinbench.training.collapse import Collapsed, CollapseDetector
from twinbench.training.job import Job
from twinbench.training.progress import Progress

log = logging.getLogger(__name__)

_SECONDS_OF_A_PART = 1.0  # how long a backend trains before the loop looks after signals


class Interrupted(Exception):
    """The process was asked to end; the state is saved. The text says where."""


@dataclass(frozen=True)
class Outcome:
    """A finished training: one row per epoch, and the selected epoch, whose weights the backend holds.

    `diagnosis` says why it collapsed, in a sentence or two; None if it did not.
    """

    history: History
    selected_epoch: int
    diagnosis: str | None


@dataclass(frozen=True)
class _Session:
    """What takes part in a training from its start or resumption to its end."""

    job: Job
    backend: Backend
    store: CheckpointStore
    progress: Progress
    interval: CheckpointInterval
    detector: CollapseDetector
    interrupted: Callable[[], bool]


@dataclass(frozen=True)
class _Position:
    """Where a training stands: rows of finished epochs, and within an epoch the steps done and the
    seconds they took."""

    history: History
    step: int = 0
    seconds: float = 0.0


def train(job: Job, backend: Backend, store: CheckpointStore, progress: Progress) -> Outcome:
    """Train from the start or from the store's checkpoint; `backend` ends with the selected weights.

    Raises `Interrupted` after SIGTERM, SIGINT (Ctrl-C) or SIGHUP (a closed terminal), once the state is
    saved.
    """
    which, patience = job.settings.selected_epoch, job.settings.early_stopping.patience
    diagnosis = None
    with _interruption() as interrupted:
        session = _Session(
            job, backend, store, progress, CheckpointInterval(), CollapseDetector(job), interrupted
        )
        position = _resume(session)
        for phase, epoch in _remaining_epochs(job, len(position.history)):
            if schedule.should_stop(position.history, patience):
                log.info("early stopping: no better validation loss for %d epochs", patience)
                break
            if epoch == phase.first_epoch and position.step == 0:
                backend.start_phase(phase)
            row, diagnosis = _train_epoch(session, phase, epoch, position)
            progress.epoch(row)
            position = _Position([*position.history, row])
            if schedule.selected_epoch(position.history, which) == epoch:
                backend.keep_weights()
            if diagnosis:
                log.warning("collapsed in epoch %d: %s", epoch, diagnosis)
                break
            stopping = interrupted()  # read once: a signal may arrive at any moment
            if session.interval.due_after_epoch() or stopping:
                _save(session, position)
            if stopping:
                raise Interrupted(f"after epoch {epoch}")
    selected = schedule.selected_epoch(position.history, which)
    backend.use_kept_weights()
    backend.input_size = job.input_size_in(selected)
    return Outcome(position.history, selected, diagnosis)


def _train_epoch(
    session: _Session, phase: Phase, epoch: int, position: _Position
) -> tuple[dict, str | None]:
    """One epoch and its validation, as a row of the history, and why it collapsed, if it did.

    In a row `train_loss` and `train_accuracy` are running means over the steps, with augmentation,
    dropout and label smoothing; `learning_rate` is that of the last step; `seconds` and
    `images_per_second` include validation, probes and checkpoints. A collapse ends the epoch: its
    row holds what there is.
    """
    job, backend = session.job, session.backend
    plateau = job.settings.reduce_on_plateau
    scale = schedule.plateau_scale(position.history, plateau.patience, plateau.factor)
    plan = job.plan(phase, epoch, scale)
    start = time.monotonic() - position.seconds
    backend.input_size = plan.input_size
    steps_done, diagnosis = position.step, None
    try:
        for steps_done in _train_steps(session, plan, position.step):
            if steps_done < plan.steps:  # what follows an epoch comes after its validation
                seconds = time.monotonic() - start
                _save_if_due(session, plan, _Position(position.history, steps_done, seconds))
    except Collapsed as collapsed:
        diagnosis, steps_done = str(collapsed), collapsed.step - (epoch - 1) * plan.steps
    train_loss, train_accuracy = (
        backend.running_metrics(steps_done) if steps_done else (math.nan, math.nan)
    )
    validation_loss, validation_accuracy = job.evaluate(backend.logits, job.validation)
    elapsed = time.monotonic() - start
    row = {
        "epoch": epoch,
        "phase": phase.name,
        "seconds": elapsed,
        "images_per_second": steps_done * job.settings.batch_size / elapsed,
        "learning_rate": float(plan.learning_rates[max(0, steps_done - 1)]),
        "input_size": plan.input_size,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "validation_loss": validation_loss,
        "validation_accuracy": validation_accuracy,
        "dead_relus": session.detector.dead_relus,
        "collapsed": diagnosis is not None,
    }
    return row, diagnosis


def _train_steps(session: _Session, plan: EpochPlan, first: int) -> Iterator[int]:
    """Execute a plan from its step `first` on, part by part; yields how many steps are done.

    A part takes about a second, so that signals and checkpoints do not wait long. It ends early where
    a probe or a checkpoint is due, and after the epoch. Raises `Collapsed`.
    """
    backend, detector, every = session.backend, session.detector, session.job.checkpoint_steps
    before = (plan.epoch - 1) * plan.steps  # steps of the epochs before
    if before + first == 0:
        detector.probe(backend, 0)
    backend.start_epoch(plan, first)
    done, length = first, 1
    while done < plan.steps:
        last = min(done + length, plan.steps, detector.next_due(before + done) - before)
        if every:
            last = min(last, done + every - done % every)
        start = time.monotonic()
        backend.train(done, last)
        seconds = max(time.monotonic() - start, 1e-9)
        length = max(1, round(_SECONDS_OF_A_PART * (last - done) / seconds))
        done = last
        session.progress.step(plan.epoch, done, plan.steps)
        if done == plan.steps or before + done == detector.next_due(before + done - 1):
            detector.probe(backend, before + done)
        yield done


def _save_if_due(session: _Session, plan: EpochPlan, position: _Position) -> None:
    """Save within an epoch where that is due. Raises `Interrupted`."""
    every, done = session.job.checkpoint_steps, position.step
    stopping = session.interrupted()
    if stopping or (every and done % every == 0) or session.interval.due_within_epoch():
        _save(session, position)
    if stopping:
        raise Interrupted(f"in epoch {plan.epoch} after step {done} of {plan.steps}")


def _remaining_epochs(job: Job, done: int) -> Iterator[tuple[Phase, int]]:
    for phase in job.phases:
        for epoch in range(max(phase.first_epoch, done + 1), phase.last_epoch + 1):
            yield phase, epoch


def _save(session: _Session, position: _Position) -> None:
    with session.interval.measured():
        state = {
            "history": position.history,
            "step": position.step,
            "seconds": position.seconds,
            "probes": session.detector.state(),
        }
        session.store.save(Checkpoint(session.backend.state(), state))


def _resume(session: _Session) -> _Position:
    """Where to go on: at the store's checkpoint, which backend and detector take up, or at the start."""
    checkpoint = session.store.load()
    if checkpoint is None:
        return _Position([])
    state = checkpoint.state
    for row in state["history"]:
        session.progress.epoch(row, resumed=True)
    done = len(state["history"])
    # The optimiser in the state is that of the phase of the last step taken.
    last_epoch = done + 1 if state["step"] else done
    phase = next(p for p in session.job.phases if p.first_epoch <= last_epoch <= p.last_epoch)
    session.backend.start_phase(phase)
    session.backend.restore(checkpoint.tensors)
    session.detector.restore(state["probes"])
    log.info("resumed from the checkpoint after epoch %d, step %d", done, state["step"])
    return _Position(state["history"], state["step"], state["seconds"])


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM, SIGINT and SIGHUP only set the flag that the yielded function reads."""
    received: list[int] = []
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup it stays ignored
        numbers.append(signal.SIGHUP)
    before = {
        number: signal.signal(number, lambda number, frame: received.append(number))
        for number in numbers
    }
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
