"""Progress of a training: one line per epoch in the log, and TensorBoard events."""

import logging
import re
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from twinbench.files import errors_name

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 60


class Progress:
    """Logs a training's progress, and writes its event file into `folder`.

    `costs` are the relative costs of the epochs, see `Job.epoch_costs`. The event file is written
    record by record: the writers of torch and of tensorboard both import tensorflow where it is
    installed, which costs seconds and memory in a PyTorch job.
    """

    def __init__(self, costs: Sequence[float], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._costs = costs
        self._path = folder / name
        self._file = open(self._path, "wb")  # noqa: SIM115, closed by close()
        self._records = RecordWriter(self._file)
        self._started = False
        self._last_line = time.monotonic()
        self.history: list[dict] = []
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def step(self, epoch: int, done: int, steps: int) -> None:
        """Log the first step, and a line now and then within an epoch that takes minutes."""
        if not self._started:
            self._started = True
            log.info("the first step is done")
        if time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES and done < steps:
            self._last_line = time.monotonic()
            log.info("epoch %d/%d: step %d of %d", epoch, len(self._costs), done, steps)

    def epoch(self, row: dict, resumed: bool = False) -> None:
        """Log a finished epoch, a row of the history; a `resumed` one was logged before."""
        self.history.append(row)
        self._write(_event(row))
        if resumed:
            return
        self._last_line = time.monotonic()
        log.info(
            "epoch %d/%d: loss %.4f, validation loss %.4f, accuracy %.2f %%, %s images/s, %s left",
            row["epoch"],
            len(self._costs),
            row["train_loss"],
            row["validation_loss"],
            100 * row["validation_accuracy"],
            f"{row['images_per_second']:,.0f}",
            duration(seconds_left([row["seconds"] for row in self.history], self._costs)),
        )

    def close(self) -> None:
        with errors_name(self._path):
            self._file.close()

    def _write(self, event: Event) -> None:
        with errors_name(self._path):
            self._records.write(event.SerializeToString())
            self._file.flush()


def seconds_left(seconds: Sequence[float], costs: Sequence[float]) -> float:
    """Estimated seconds of the epochs that remain, after epochs that took `seconds`.

    An epoch is expected to take as long as the last one of the same cost or, if there was none, as
    long as the last one in proportion to the cost.
    """
    last = dict(zip(costs, seconds, strict=False))
    return sum(
        last[cost] if cost in last else seconds[-1] * cost / costs[len(seconds) - 1]
        for cost in costs[len(seconds) :]
    )


def _event(row: dict) -> Event:
    """In TensorBoard `train/loss` and `validation/loss` stand in groups, all others alone."""
    values = [
        Summary.Value(tag=re.sub("^(train|validation)_", r"\1/", name), simple_value=value)
        for name, value in row.items()
        if isinstance(value, float)
    ]
    return Event(wall_time=time.time(), step=row["epoch"], summary=Summary(value=values))


def duration(seconds: float) -> str:
    """`45 s`, `12:30 min` or `3:05 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"
