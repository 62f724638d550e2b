"""What tests of trainings share: both frameworks' arms, and how a job is trained."""

import os
import signal
from pathlib import Path

import pytest
from twinbench import training
from twinbench.checkpoint import Store
from twinbench.job import Job
from twinbench.progress import Progress
from twinbench.pytorch.arm import PyTorchArm
from twinbench.tensorflow.arm import TensorFlowArm

ARMS = pytest.mark.parametrize("make_arm", [PyTorchArm, TensorFlowArm])


class TerminatedAt(Progress):
    """Progress that has the process sent a signal after one step of one epoch."""

    def __init__(
        self, epochs: int, folder: Path, epoch: int, step: int, number: int = signal.SIGTERM
    ) -> None:
        super().__init__([1.0] * epochs, folder)
        self._at, self._number = (epoch, step), number

    def step(self, epoch: int, done: int, steps: int) -> None:
        if (epoch, done) == self._at:
            os.kill(os.getpid(), self._number)


def train_job(make_arm, job: Job, folder: Path, progress=None, prepare=lambda arm: None):
    """The arm after its training, and the outcome. `prepare` may change the arm before."""
    arm = make_arm(job)
    prepare(arm)
    progress = progress or Progress(job.work_of_epochs, folder / "events")
    return arm, training.train(job, arm, Store(folder, "run", "ab" * 32), progress)
