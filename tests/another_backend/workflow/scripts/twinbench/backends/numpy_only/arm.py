"""A part in a training without any framework: see `twinbench.training.Arm`."""

import math
from pathlib import Path

import numpy as np
from scipy.special import log_softmax
from twinbench import protocol, weights
from twinbench.architecture import (
    HEAD,
    AdaptiveAveragePooling,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    MaxPooling,
)
from twinbench.errors import InputError
from twinbench.feature_cache import FeatureCache, first_computed_layer
from twinbench.job import Job
from twinbench.numpy_only import augment
from twinbench.precision import Precision
from twinbench.protocol import Phase, Weights
from twinbench.training import AfterStep

_EVALUATION_BATCH = 64


class NumPyArm:
    libraries = ("numpy",)
    device = "cpu"
    precision = Precision("float32")

    def __init__(self, job: Job) -> None:
        unknown = any(isinstance(layer, AdaptiveAveragePooling) for layer in job.layers)
        if unknown or job.settings["batch_normalisation"]:
            raise InputError(f"runs.{job.run}: NumPy trains alexnet32 alone, without normalisation")
        self._job = job
        self._weights = job.initial_weights()
        self._sums = np.zeros(2)
        self._moments: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._updates = 0
        self._views: FeatureCache | None = None

    def start_phase(self, phase: Phase) -> None:
        # All is computed anew, but of the same views as in arms that keep features.
        cached = first_computed_layer(self._job, phase)
        self._views = FeatureCache(self._job, phase) if cached else None
        self._moments = {
            name: (np.zeros_like(value), np.zeros_like(value))
            for name, value in self._weights.items()
            if phase.trained(name.split("/")[0])
        }
        self._updates = 0

    def train_epoch(
        self, phase: Phase, epoch: int, first_step: int, rate_factor: float, after_step: AfterStep
    ) -> None:
        if first_step == 0:
            self._sums[:] = 0
        for step, images, labels in self._batches(epoch, first_step):
            loss, accuracy, gradients = self._step(epoch, step, images, labels)
            self._update(phase, epoch, step, rate_factor, gradients)
            self._sums += loss, accuracy
            after_step(step + 1)

    def means(self, steps: int) -> tuple[float, float]:
        loss, accuracy = (self._sums / steps).tolist()
        return loss, accuracy

    def inspect(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        dead: dict[str, float] = {}
        logits, _ = self._forward(self._plain(images), None, dead)
        return logits, dead

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        _, _, gradients = self._gradients(self._plain(images), labels, None, 0.0)
        return {
            name.removesuffix("/kernel"): float(np.linalg.norm(value))
            for name, value in gradients.items()
            if name.endswith("/kernel")
        }

    def logits(self, images: np.ndarray) -> np.ndarray:
        outputs = []
        for start in range(0, len(images), _EVALUATION_BATCH):
            batch = images[start : start + _EVALUATION_BATCH]
            outputs.append(self._forward(self._plain(batch), None)[0])
        return np.concatenate(outputs)

    def _plain(self, images: np.ndarray) -> np.ndarray:
        job = self._job
        matrices = protocol.plain_matrices(len(images), job.image_size, job.input_size)
        return self._prepare(images, matrices)

    def state(self) -> dict[str, np.ndarray]:
        tensors = {f"network/{name}": value.copy() for name, value in self._weights.items()}
        for name, (first, second) in self._moments.items():
            tensors |= {f"first/{name}": first.copy(), f"second/{name}": second.copy()}
        return tensors | {"sums": self._sums.copy(), "updates": np.array(self._updates)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self._weights = {name: state[f"network/{name}"].copy() for name in self._weights}
        self._moments = {
            name: (state[f"first/{name}"].copy(), state[f"second/{name}"].copy())
            for name in self._moments
        }
        self._sums = state["sums"].copy()
        self._updates = int(state["updates"])

    def weights(self) -> Weights:
        return {name: value.copy() for name, value in self._weights.items()}

    def set_weights(self, weights: Weights) -> None:
        self._weights = {name: value.copy() for name, value in weights.items()}

    def save_model(self, path: Path) -> None:
        """The framework-free weights as safetensors."""
        weights.write(path, self._weights)

    def _batches(self, epoch: int, first_step: int):
        job, settings = self._job, self._job.settings
        order = protocol.sample_order(job.seed, epoch, len(job.train), settings["batch_size"])
        matrices = (
            self._views.matrices(epoch)[order]
            if self._views
            else protocol.augmentation_matrices(
                *(job.seed, epoch, order.size, job.image_size, job.input_size),
                settings["augmentation"],
            ).reshape(*order.shape, 2, 3)
        )
        for step in range(first_step, len(order)):
            images = self._prepare(job.train.images[order[step]], matrices[step])
            yield step, images, job.train.labels[order[step]]

    def _prepare(self, images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        job = self._job
        fill = job.settings["augmentation"]["fill"]
        return augment.prepare(images, matrices, job.normalisation, job.input_size, fill)

    def _masks(self, epoch: int, step: int, batch: int):
        """The mask of each dropout layer, in turn, for inputs of a given width."""
        job = self._job

        def mask(index: int, units: int) -> np.ndarray:
            rate = job.settings["dropout"]
            return protocol.dropout_mask(job.seed, epoch, step, index, (batch, units), rate)

        return mask

    def _forward(
        self, values: np.ndarray, mask, dead: dict[str, float] | None = None
    ) -> tuple[np.ndarray, list]:
        """Logits, and for each layer the function that takes its gradients back.

        `dead`, if given, gets the share of each ReLU layer's units that no image activates.
        """
        backward, dropouts = [], 0
        for layer in self._job.layers:
            match layer:
                case Convolution():
                    values, back = _convolution(values, layer, self._weights)
                case MaxPooling():
                    values, back = _maximum(values, layer.size, layer.stride)
                case Flatten():
                    shape = values.shape
                    values = values.reshape(len(values), -1)
                    back = lambda gradient, shape=shape: (gradient.reshape(shape), {})  # noqa: E731
                case Dropout():
                    if mask is None:
                        continue
                    chosen = mask(dropouts, values.shape[1])
                    dropouts += 1
                    values = values * chosen
                    back = lambda gradient, chosen=chosen: (gradient * chosen, {})  # noqa: E731
                case Dense():
                    values, back = _dense(values, layer.name, self._weights)
            backward.append(back)
            if isinstance(layer, Convolution | Dense) and layer.name != HEAD:
                active = values > 0
                values = values * active
                if dead is not None:
                    used = active.any(axis=tuple(range(active.ndim - 1)))
                    dead[layer.name] = float(1 - used.mean())
                backward.append(lambda gradient, active=active: (gradient * active, {}))
        return values, backward

    def _step(
        self, epoch: int, step: int, images: np.ndarray, labels: np.ndarray
    ) -> tuple[float, float, Weights]:
        mask = self._masks(epoch, step, len(images))
        return self._gradients(images, labels, mask, self._job.settings["label_smoothing"])

    def _gradients(
        self, images: np.ndarray, labels: np.ndarray, mask, smoothing: float
    ) -> tuple[float, float, Weights]:
        """Loss, accuracy, and the gradients of the trained tensors."""
        logits, backward = self._forward(images, mask)
        classes = logits.shape[1]
        targets = np.full_like(logits, smoothing / classes)
        targets[np.arange(len(labels)), labels] += 1 - smoothing
        logs = log_softmax(logits, axis=1)
        gradient = (np.exp(logs) - targets) / np.float32(len(labels))
        found: Weights = {}
        for back in reversed(backward):
            gradient, own = back(gradient)
            found |= own
        trained = {name: found[name] for name in self._moments}
        accuracy = float((logits.argmax(axis=1) == labels).mean())
        return float(-(targets * logs).sum(axis=1).mean()), accuracy, trained

    def _update(
        self, phase: Phase, epoch: int, step: int, rate_factor: float, gradients: Weights
    ) -> None:
        """Adam as in Kingma and Ba 2015, section 2, with epsilon-hat, and decoupled decay."""
        job, settings = self._job, self._job.settings["optimiser"]
        steps, schedule = job.steps_per_epoch, job.settings["schedule"]
        rate = rate_factor * protocol.learning_rate(phase, epoch, step, steps, schedule)
        beta_1, beta_2 = settings["beta_1"], settings["beta_2"]
        self._updates += 1
        correction = math.sqrt(1 - beta_2**self._updates) / (1 - beta_1**self._updates)
        for name, gradient in gradients.items():
            value, (first, second) = self._weights[name], self._moments[name]
            if value.ndim > 1:
                value -= value * np.float32(rate * settings["weight_decay"])
            first += (gradient - first) * np.float32(1 - beta_1)
            second += (gradient**2 - second) * np.float32(1 - beta_2)
            factor = np.float32(rate * phase.factors[name.split("/")[0]] * correction)
            value -= factor * first / (np.sqrt(second) + np.float32(settings["epsilon"]))


def _convolution(values: np.ndarray, layer: Convolution, weights: Weights):
    kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
    size, stride, pad = layer.kernel_size, layer.stride, layer.padding
    padded = np.pad(values, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    windows = _windows(padded, size, stride)
    count, height, width = windows.shape[:3]
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(count * height * width, -1)
    flat = kernel.reshape(-1, layer.filters)

    def back(gradient: np.ndarray):
        gradient = gradient.reshape(-1, layer.filters)
        own = {
            f"{layer.name}/kernel": (columns.T @ gradient).reshape(kernel.shape),
            f"{layer.name}/bias": gradient.sum(axis=0),
        }
        spread = (gradient @ flat.T).reshape(count, height, width, size, size, -1)
        result = np.zeros_like(padded)
        for row in range(size):
            for column in range(size):
                rows = slice(row, row + stride * height, stride)
                result[:, rows, column : column + stride * width : stride] += spread[
                    :, :, :, row, column
                ]
        inside = slice(pad, padded.shape[1] - pad)
        return result[:, inside, inside], own

    return (columns @ flat + bias).reshape(count, height, width, -1), back


def _maximum(values: np.ndarray, size: int, stride: int):
    windows = _windows(values, size, stride)
    flat = windows.reshape(*windows.shape[:4], -1)
    chosen = flat.argmax(axis=-1)

    def back(gradient: np.ndarray):
        result = np.zeros_like(values)
        image, row, column, channel = np.indices(chosen.shape)
        rows, columns = row * stride + chosen // size, column * stride + chosen % size
        np.add.at(result, (image, rows, columns, channel), gradient)
        return result, {}

    return np.take_along_axis(flat, chosen[..., None], axis=-1)[..., 0], back


def _windows(values: np.ndarray, size: int, stride: int) -> np.ndarray:
    """A view (images, height, width, channels, size, size)."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride]


def _dense(values: np.ndarray, name: str, weights: Weights):
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]

    def back(gradient: np.ndarray):
        own = {f"{name}/kernel": values.T @ gradient, f"{name}/bias": gradient.sum(axis=0)}
        return gradient @ kernel.T, own

    return values @ kernel + bias, back
