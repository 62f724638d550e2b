"""Trainings with any backend, and their interruption."""

import os
import signal
from pathlib import Path

from twinbench.training import loop
from twinbench.training.checkpoint import CheckpointStore
from twinbench.training.job import Job
from twinbench.training.progress import Progress


class Interrupting(Progress):
    """Sends this process a signal after one step of one epoch."""

    def __init__(self, folder: Path, epoch: int, step: int, number: int = signal.SIGTERM) -> None:
        super().__init__([1.0] * epoch, folder)
        self._at, self._number = (epoch, step), number

    def step(self, epoch: int, done: int, steps: int) -> None:
        if (epoch, done) == self._at:
            os.kill(os.getpid(), self._number)


def train_epoch(backend, plan) -> None:
    """Execute a whole plan."""
    backend.start_epoch(plan, 0)
    backend.train(0, plan.steps)


def train(make_backend, job: Job, folder: Path, progress=None, prepare=lambda backend: None):
    """The backend after its training, and the outcome. `prepare` may change the backend before."""
    backend = make_backend(job)
    prepare(backend)
    progress = progress or Progress(job.epoch_costs, folder / "events")
    store = CheckpointStore(folder, "run")
    return backend, loop.train(job, backend, store, progress)
