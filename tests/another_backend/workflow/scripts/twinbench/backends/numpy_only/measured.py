"""NumPy's part in the parity ladder: see `twinbench.parity.Measurable` and `Library`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from twinbench.numpy_only.arm import NumPyArm
from twinbench.parity import Reference, Setting
from twinbench.protocol import Phase, Weights


class MeasuredArm(NumPyArm):
    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _, images, labels in self._batches(epoch, first_step):
            yield images, labels

    def loss_and_gradients(self, phase: Phase, epoch: int, step: int) -> tuple[float, Weights]:
        _, images, labels = next(self._batches(epoch, step))
        loss, _, gradients = self._step(epoch, step, images, labels)
        return loss, gradients

    def update(self, phase: Phase, epoch: int, step: int, gradients: Weights) -> None:
        self._update(phase, epoch, step, 1.0, gradients)

    def describe(self) -> dict[str, Setting]:
        settings = self._job.settings
        types = {str(value.dtype) for value in self._weights.values()}
        return {
            "optimiser": Setting("Adam", "NumPyArm._update"),
            "Adam: epsilon (epsilon-hat)": Setting(
                f"{settings['optimiser']['epsilon']:.4g}", "beside the raw moment"
            ),
            "parameters": Setting(str(sum(v.size for v in self._weights.values())), "size"),
            "type of the weights": Setting(" and ".join(sorted(types)), "dtype"),
        }


def library(model: str, official: Path, images: np.ndarray, size: int) -> Reference | None:
    return None
