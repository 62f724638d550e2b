"""A backend without any framework: see `twinbench.backends.backend`."""

import math
from pathlib import Path

import numpy as np
from scipy.special import log_softmax
from twinbench.backends.backend import KEPT, Tensors, with_prefix
from twinbench.backends.numpy_only import augmentation, network
from twinbench.errors import InputError
from twinbench.networks import weights
from twinbench.networks.architectures import AdaptiveAveragePooling, Dropout, shapes
from twinbench.networks.weights import Weights
from twinbench.recipe.augmentation import evaluation_matrices
from twinbench.recipe.dropout import dropout_mask
from twinbench.recipe.epoch_plan import EpochPlan
from twinbench.recipe.schedule import Phase
from twinbench.training.job import Job


class Backend:
    libraries = ("numpy",)
    device = "cpu"
    precision = "float32"

    def __init__(self, job: Job) -> None:
        unknown = any(isinstance(layer, AdaptiveAveragePooling) for layer in job.layers)
        if unknown or job.settings.batch_normalisation or job.native:
            raise InputError(
                f"runs.{job.run}: NumPy trains no {job.architecture.name}, no batch normalisation "
                "and no native run; change these settings or the framework"
            )
        self._job = job
        self.input_size = job.input_size
        self._weights = job.initial_weights()
        self._kept: Weights = {}
        self._sums = np.zeros(2)
        self._phase: Phase
        self._moments: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._updates = 0  # of the phase
        self._plan: EpochPlan

    def start_phase(self, phase: Phase) -> None:
        self._phase, self._updates = phase, 0
        self._moments = {
            name: (np.zeros_like(value), np.zeros_like(value))
            for name, value in self._weights.items()
            if phase.trains(name.split("/")[0])
        }

    def start_epoch(self, plan: EpochPlan, first_step: int) -> None:
        self._plan = plan
        if first_step == 0:
            self._sums[:] = 0

    def train(self, first: int, last: int) -> None:
        for step in range(first, last):
            loss, accuracy, gradients = self._step(self._plan, step)
            self._update(self._plan, step, gradients)
            self._sums += loss, accuracy

    def running_metrics(self, steps: int) -> tuple[float, float]:
        loss, accuracy = (self._sums / steps).tolist()
        return loss, accuracy

    def probe(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        logits, _, dead = self._forward(self._evaluation_input(images))
        return logits, dead

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        _, _, gradients = self._gradients(self._evaluation_input(images), labels, (), 0.0)
        return {
            name.removesuffix("/kernel"): float(np.linalg.norm(value))
            for name, value in gradients.items()
            if name.endswith("/kernel")
        }

    def logits(self, images: np.ndarray) -> np.ndarray:
        batches = np.array_split(images, math.ceil(len(images) / 64))
        return np.concatenate([self.probe(batch)[0] for batch in batches])

    def keep_weights(self) -> None:
        self._kept = self.weights()

    def use_kept_weights(self) -> None:
        self.set_weights(self._kept)

    def state(self) -> Tensors:
        tensors = {KEPT + name: value.copy() for name, value in self._kept.items()}
        tensors |= {f"network/{name}": value.copy() for name, value in self._weights.items()}
        for name, (first, second) in self._moments.items():
            tensors |= {f"first/{name}": first.copy(), f"second/{name}": second.copy()}
        return tensors | {"sums": self._sums.copy(), "updates": np.array(self._updates)}

    def restore(self, state: Tensors) -> None:
        self._weights = {name: state[f"network/{name}"].copy() for name in self._weights}
        self._kept = with_prefix(state, KEPT)
        self._moments = {
            name: (state[f"first/{name}"].copy(), state[f"second/{name}"].copy())
            for name in self._moments
        }
        self._sums, self._updates = state["sums"].copy(), int(state["updates"])

    def weights(self) -> Weights:
        return {name: value.copy() for name, value in self._weights.items()}

    def set_weights(self, weights: Weights) -> None:
        self._weights = {name: value.copy() for name, value in weights.items()}

    def save_model(self, path: Path) -> None:
        """The framework-free weights as safetensors."""
        weights.write(path, self._weights)

    def _batch(self, plan: EpochPlan, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The network's input and the labels of a step."""
        chosen, train = plan.order[step], self._job.train
        return self._input(train.images[chosen], plan.matrices[step]), train.labels[chosen]

    def _evaluation_input(self, images: np.ndarray) -> np.ndarray:
        job = self._job
        matrices = evaluation_matrices(len(images), job.image_size, job.input_size)
        return self._input(images, matrices)

    def _input(self, images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        job = self._job
        fill = job.settings.augmentation.fill
        return augmentation.transform(images, matrices, job.normalisation, job.input_size, fill)

    def _forward(self, inputs: np.ndarray, masks=()):
        return network.forward(self._job.layers, self._weights, inputs, iter(masks))

    def _step(self, plan: EpochPlan, step: int) -> tuple[float, float, Weights]:
        settings = self._job.settings
        batch = plan.order.shape[1]
        masks = [
            dropout_mask(keys, (batch, units), settings.dropout)
            for keys, units in zip(plan.dropout_keys[step], self._dropout_units(), strict=True)
        ]
        return self._gradients(*self._batch(plan, step), masks, settings.label_smoothing)

    def _dropout_units(self) -> list[int]:
        """How many units each dropout layer sees."""
        return [
            math.prod(shape)
            for layer, shape, _ in shapes(self._job.layers, self.input_size)
            if isinstance(layer, Dropout)
        ]

    def _gradients(
        self, inputs: np.ndarray, labels: np.ndarray, masks, smoothing: float
    ) -> tuple[float, float, Weights]:
        """Loss, accuracy, and the gradients of the trained tensors."""
        logits, backwards, _ = self._forward(inputs, masks)
        targets = np.full_like(logits, smoothing / logits.shape[1])
        targets[np.arange(len(labels)), labels] += 1 - smoothing
        logs = log_softmax(logits, axis=1)
        found = network.gradients(backwards, (np.exp(logs) - targets) / np.float32(len(labels)))
        accuracy = float((logits.argmax(axis=1) == labels).mean())
        trained = {name: found[name] for name in self._moments}
        return float(-(targets * logs).sum(axis=1).mean()), accuracy, trained

    def _update(self, plan: EpochPlan, step: int, gradients: Weights) -> None:
        """Adam as in algorithm 1 of Kingma and Ba 2015, and decoupled decay."""
        self._updates += 1
        settings, rate = self._job.settings.optimiser, float(plan.learning_rates[step])
        corrections = [1 - beta**self._updates for beta in (settings.beta_1, settings.beta_2)]
        for name, gradient in gradients.items():
            value, (first, second) = self._weights[name], self._moments[name]
            if value.ndim > 1:
                value -= value * np.float32(rate * settings.weight_decay)
            first += (gradient - first) * np.float32(1 - settings.beta_1)
            second += (gradient**2 - second) * np.float32(1 - settings.beta_2)
            factor = np.float32(rate * self._phase.multipliers[name.split("/")[0]] / corrections[0])
            root = np.sqrt(second / np.float32(corrections[1]))
            value -= factor * first / (root + np.float32(settings.epsilon))
