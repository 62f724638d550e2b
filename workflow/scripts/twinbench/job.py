"""One training job, free of any framework: data, net, settings, and what follows from them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from twinbench import protocol
from twinbench.architecture import HEAD, Architecture, Layer
from twinbench.errors import InputError
from twinbench.protocol import Weights
from twinbench.splits import Split

Logits = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Job:
    """A training.

    `settings` are the effective training settings of the run, all keys present. `pretrained` holds
    framework-free weights, or nothing for a start from scratch; `net_normalisation` asks for the
    normalisation with which the net's pretrained weights come, instead of the data set's own. Every
    `checkpoint_steps` the state is saved within an epoch too, never if 0.
    """

    run: str
    seed: int
    architecture: Architecture
    settings: dict
    train: Split
    validation: Split
    test: Split
    pretrained: Weights
    net_normalisation: bool
    threads: int
    checkpoint_steps: int = 0

    @property
    def classes(self) -> int:
        return len(self.train.class_names)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.architecture.with_head(self.classes)

    @property
    def image_size(self) -> int:
        return self.train.images.shape[1]

    @property
    def input_size(self) -> int:
        return self.settings["input_size"] or self.architecture.input_size

    def input_size_in(self, epoch: int) -> int:
        """The side of the images that the net is given in an epoch, counted from 1."""
        resizing = self.settings["progressive_resizing"]
        return resizing["input_size"] if epoch <= resizing["epochs"] else self.input_size

    @property
    def work_of_epochs(self) -> list[float]:
        """What each epoch costs in relation to the others: its pixels, three times for all layers.

        A backward pass has two matrix products for each one of the forward pass; where the head alone is
        trained, nearly all is the forward pass.
        """
        return [
            self.input_size_in(epoch) ** 2 * (1.0 if phase.name == "head" else 3.0)
            for phase in protocol.phases(self.settings, self.architecture)
            for epoch in range(phase.first_epoch, phase.last_epoch + 1)
        ]

    @property
    def steps_per_epoch(self) -> int:
        return protocol.steps_per_epoch(len(self.train), self.settings["batch_size"])

    @property
    def normalisation(self) -> protocol.Normalisation:
        name = self.architecture.normalisation if self.net_normalisation else "dataset"
        return protocol.normalisation(name, self.train.mean, self.train.std)

    @property
    def native(self) -> bool:
        """Whether each framework follows its own defaults instead of the protocol."""
        return self.settings["protocol"] == "native"

    def initial_weights(self) -> Weights:
        """Pretrained weights where there are some, and random ones; the head's kernel may be zero."""
        weights = self.with_pretrained(
            protocol.initial_weights(
                self.seed, self.layers, self.input_size, self.settings["batch_normalisation"]
            )
        )
        if self._head_starts_at_zero:
            kernel = f"{HEAD}/kernel"
            weights[kernel] = np.zeros_like(weights[kernel])
        return weights

    @property
    def _head_starts_at_zero(self) -> bool:
        """Whether the first logits are zero: where the head is trained alone at first, unless told.

        What a pretrained net hands to its head may be large, VGG16's is, and with a random head the
        first logits and gradients are so too: they drive ReLUs below zero for good. Where all layers
        are trained at once, those below a head of zeros would have no gradient at first.
        """
        head = self.settings["head"]
        alone_at_first = head["epochs"] > 0
        return head["initialisation"] == "zeros" or (
            head["initialisation"] == "auto" and alone_at_first
        )

    def with_pretrained(self, weights: Weights) -> Weights:
        """The weights, with the pretrained ones in their places; the head's stay."""
        result = dict(weights)
        for name, value in self.pretrained.items():
            if name.startswith(f"{HEAD}/"):
                continue
            if name not in weights or weights[name].shape != value.shape:
                raise InputError(
                    f"runs.{self.run}.weights: tensor {name} of shape {value.shape} does not fit "
                    f"{self.architecture.title}; give weights in that net's official format"
                )
            result[name] = value
        return result

    def evaluate(self, logits: Logits, split: Split) -> tuple[float, float]:
        """Mean cross-entropy (nats) and accuracy of a split."""
        outputs = log_softmax(logits(split.images).astype(np.float64), axis=1)
        loss = -outputs[np.arange(len(split)), split.labels].mean()
        return float(loss), float((outputs.argmax(axis=1) == split.labels).mean())
