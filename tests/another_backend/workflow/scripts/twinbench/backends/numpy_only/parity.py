"""What the parity suite needs of NumPy: see `twinbench.parity.measuring`."""

from pathlib import Path

import numpy as np
from twinbench.backends.numpy_only.backend import Backend
from twinbench.networks.architectures import Architecture
from twinbench.networks.weights import Weights
from twinbench.parity.measuring import LibraryReference, Setting
from twinbench.recipe.epoch_plan import EpochPlan


class ParityBackend(Backend):
    def batch(self, plan: EpochPlan, step: int) -> tuple[np.ndarray, np.ndarray]:
        return self._batch(plan, step)

    def loss_and_gradients(self, plan: EpochPlan, step: int) -> tuple[float, Weights]:
        loss, _, gradients = self._step(plan, step)
        return loss, gradients

    def update(self, plan: EpochPlan, step: int, gradients: Weights) -> None:
        self._update(plan, step, gradients)

    def describe(self) -> dict[str, Setting]:
        epsilon = self._job.settings.optimiser.epsilon
        types = sorted({str(value.dtype) for value in self._weights.values()})
        return {
            "optimiser": Setting("Adam", "Backend._update"),
            "Adam: epsilon": Setting(f"{epsilon:.4g}", "Backend._update"),
            "parameters": Setting(str(sum(v.size for v in self._weights.values())), "size"),
            "type of the weights": Setting(" and ".join(types), "dtype"),
        }


def library_reference(
    architecture: Architecture, published: Path, images: np.ndarray, size: int
) -> LibraryReference:
    raise NotImplementedError("no library of NumPy publishes networks")
