"""One training: network, settings, data, and what follows from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinbench.config.training import Training
from twinbench.data.splits import Split
from twinbench.errors import InputError
from twinbench.networks.architectures import HEAD, Architecture, Dropout, Layer
from twinbench.networks.weights import Weights
from twinbench.recipe.epoch_plan import EpochPlan, plan_epoch, steps_per_epoch
from twinbench.recipe.initial_weights import initial_weights
from twinbench.recipe.normalisation import Normalisation, normalisation
from twinbench.recipe.schedule import Phase, phases

Logits = Callable[[np.ndarray], np.ndarray]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """The logarithms of the probabilities of logits (n, classes), in float64."""
    # SciPy's own costs half a second of each job's start.
    below = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Job:
    """A training.

    `pretrained` holds framework-free weights, or nothing for a start from scratch;
    `published_normalisation` asks for the normalisation that the network's published weights expect,
    instead of the data set's own. Every `checkpoint_steps` the state is saved within an epoch too, never
    if 0.
    """

    run: str
    seed: int
    architecture: Architecture
    settings: Training
    train: Split
    validation: Split
    test: Split
    pretrained: Weights
    published_normalisation: bool
    threads: int
    checkpoint_steps: int = 0

    @property
    def classes(self) -> int:
        return len(self.train.class_names)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.architecture.with_head(self.classes)

    @property
    def _dropout_layers(self) -> int:
        return sum(isinstance(layer, Dropout) for layer in self.layers)

    @property
    def image_size(self) -> int:
        """Size of the data set's images in pixels."""
        return self.train.images.shape[1]

    @property
    def input_size(self) -> int:
        """Size in pixels to which images are resized for the network."""
        return self.settings.input_size or self.architecture.input_size

    def input_size_in(self, epoch: int) -> int:
        """Size in pixels to which images are resized in an epoch, counted from 1."""
        resizing = self.settings.progressive_resizing
        return resizing.input_size if epoch <= resizing.epochs else self.input_size

    @property
    def phases(self) -> list[Phase]:
        return phases(self.settings, self.architecture)

    @property
    def epoch_costs(self) -> list[float]:
        """Relative cost of each epoch: its pixels, three times where all layers are trained.

        A backward pass has two matrix products for each one of the forward pass; where the head alone is
        trained, nearly all of the work is the forward pass.
        """
        return [
            self.input_size_in(epoch) ** 2 * (1.0 if phase.name == "head" else 3.0)
            for phase in self.phases
            for epoch in range(phase.first_epoch, phase.last_epoch + 1)
        ]

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self.train), self.settings.batch_size)

    @property
    def normalisation(self) -> Normalisation:
        name, published = "dataset", self.architecture.published
        if published and self.published_normalisation:
            name = published.normalisation
        return normalisation(name, self.train.mean, self.train.std)

    def model_facts(self, input_size: int) -> dict[str, Any]:
        """What a user of the trained network has to know, as JSON holds it.

        Its input is an RGB image with pixels from 0 to 255, resized to `input_size`, with its channels
        in the order of `channels`, then minus `mean` and divided by `std`.
        """
        used = self.normalisation
        return {
            "model": self.architecture.name,
            "class_names": list(self.train.class_names),
            "input_size": input_size,
            "channels": list(used.channels),
            "mean": [float(value) for value in used.mean],
            "std": [float(value) for value in used.std],
        }

    @property
    def native(self) -> bool:
        """Whether each framework follows its own defaults instead of the shared protocol."""
        return self.settings.protocol == "native"

    def plan(self, phase: Phase, epoch: int, learning_rate_scale: float = 1.0) -> EpochPlan:
        """Everything that decides an epoch, for a backend to execute."""
        return plan_epoch(
            self.seed,
            self.settings,
            phase,
            epoch,
            images=len(self.train),
            image_size=self.image_size,
            input_size=self.input_size_in(epoch),
            dropout_layers=0 if self.native else self._dropout_layers,
            learning_rate_scale=learning_rate_scale,
        )

    def initial_weights(self) -> Weights:
        """Pretrained weights where given, otherwise random ones; the head's kernel may be zero."""
        network = self.layers, self.input_size, self.settings.batch_normalisation
        weights = self.with_pretrained(initial_weights(self.seed, *network, self.pretrained))
        if self._head_starts_at_zero:
            kernel = f"{HEAD}/kernel"
            weights[kernel] = np.zeros_like(weights[kernel])
        return weights

    @property
    def _head_starts_at_zero(self) -> bool:
        """With `initialisation: auto`, where the head is trained alone at first.

        A pretrained network's last features may be large (VGG16's are). Under a random head the first
        logits and gradients are then large too, and push ReLUs below zero for good. Where all layers are
        trained at once, those below a head of zeros would get no gradient at first.
        """
        head = self.settings.head
        return head.initialisation == "zeros" or (head.initialisation == "auto" and head.epochs > 0)

    def with_pretrained(self, weights: Weights) -> Weights:
        """The weights with the pretrained ones in their places; the head keeps its own."""
        result = dict(weights)
        for name, value in self.pretrained.items():
            if name not in weights or weights[name].shape != value.shape:
                raise InputError(
                    f"runs.{self.run}.weights: tensor {name} of shape {value.shape} does not fit "
                    f"{self.architecture.title}; give weights of that network"
                )
            result[name] = value
        return result

    def evaluate(self, logits: Logits, split: Split) -> tuple[float, float]:
        """Mean cross-entropy (nats) and accuracy of a split."""
        outputs = log_softmax(logits(split.images))
        loss = -outputs[np.arange(len(split)), split.labels].mean()
        return float(loss), float((outputs.argmax(axis=1) == split.labels).mean())
