"""Whether a training still learns: a few images are looked at between its steps.

A net that has collapsed gives every image the same answer: its loss sits at the logarithm of the number
of classes and stays there, because its ReLUs are dead or its numbers are not finite any more. Its test
accuracy, chance, would look like a result. Here it is noticed, explained and told apart.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from scipy.special import log_softmax

from twinbench.job import Job

_IMAGES = 64  # of the validation split
# A look took 0.6 to 1.8 % of the time of 25 steps (AlexNet for 32x32, batches of 32 and 128, two cores).
_STEPS_BETWEEN_LOOKS = 25
_AT_CHANCE = 0.01  # nats from ln(classes)
_DEAD_LAYER = 0.99  # share of units that no image activates
_SAME_LOGITS = 1e-4  # standard deviation over the images, of the class where it is largest
_VANISHED = 1e-7  # norm of a layer's gradient, of the mean loss of the images
# One class for everything at a loss of chance may be a slow start, so it must last.
_PATIENCE_STEPS = 200
_PATIENCE_EPOCHS = 2


class Inspected(Protocol):
    """What the guard asks of an arm, whose state it leaves as it is."""

    def inspect(self, images: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        """Logits float32 (n, classes), and for each ReLU layer the share of its units that no image
        activates. `images` are uint8 (n, height, width, 3)."""

    def gradient_norms(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """The norm of the mean loss's gradient in the kernel of each layer that is trained."""


@dataclass(frozen=True)
class Look:
    """What one look saw, `step` steps after the start of the training.

    `loss` is the mean cross-entropy in nats, `classes` how many classes were predicted, `spread` the
    standard deviation of a class's logit over the images, `dead` a share of units by layer.
    """

    step: int
    finite: bool
    loss: float
    classes: int
    spread: float
    dead: dict[str, float]
    fingerprint: str

    @property
    def dead_layers(self) -> list[str]:
        return [name for name, share in self.dead.items() if share >= _DEAD_LAYER]

    @property
    def answers_alike(self) -> bool:
        """Whether every image gets the same answer for a reason that does not pass."""
        return self.classes == 1 and (bool(self.dead_layers) or self.spread < _SAME_LOGITS)


class Collapsed(Exception):
    """The training does not learn any more. The text says what was seen, why, and what to change."""


class Guard:
    """Looks at a training and raises `Collapsed`. Its state is part of a checkpoint."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._images = job.validation.images[:_IMAGES]
        self._labels = job.validation.labels[:_IMAGES]
        self._looks: list[Look] = []

    def state(self) -> list[dict]:
        return [asdict(look) for look in self._looks]

    def restore(self, state: list[dict]) -> None:
        self._looks = [Look(**look) for look in state]

    @property
    def dead_relus(self) -> float:
        """The largest share of dead units of any layer, as last seen."""
        return max(self._looks[-1].dead.values(), default=0.0) if self._looks else math.nan

    def due(self, step: int) -> bool:
        """Whether a look is due `step` steps after the start; one at the end of an epoch always is."""
        return step % _STEPS_BETWEEN_LOOKS == 0

    def look(self, arm: Inspected, step: int) -> None:
        """Look now, `step` steps after the start of the training, 0 before the first."""
        if any(look.step == step for look in self._looks):
            return
        logits, dead = arm.inspect(self._images)
        # The first look is what the others are held against; of those only the last ones count.
        self._looks = [*self._looks[:1], *self._recent(step), self._look(step, logits, dead)]
        if reason := next(self._reasons(arm), None):
            raise Collapsed(reason)

    def _recent(self, step: int) -> list[Look]:
        since = step - self._patience - _STEPS_BETWEEN_LOOKS
        return [look for look in self._looks[1:] if look.step >= since]

    @property
    def _patience(self) -> int:
        """Steps."""
        return max(_PATIENCE_STEPS, _PATIENCE_EPOCHS * self._job.steps_per_epoch)

    def _look(self, step: int, logits: np.ndarray, dead: dict[str, float]) -> Look:
        finite = self._input_is_finite() and bool(np.isfinite(logits).all())
        if not finite:
            return Look(step, False, math.nan, 0, math.nan, dead, "")
        outputs = log_softmax(logits.astype(np.float64), axis=1)
        return Look(
            step=step,
            finite=True,
            loss=float(-outputs[np.arange(len(logits)), self._labels].mean()),
            classes=len(np.unique(logits.argmax(axis=1))),
            spread=float(logits.std(axis=0).max()),
            dead=dead,
            fingerprint=hashlib.sha256(np.ascontiguousarray(logits).data).hexdigest(),
        )

    def _input_is_finite(self) -> bool:
        """Asked here, since TensorFlow's ReLU turns what is no number into zero."""
        normalisation = self._job.normalisation
        statistics = np.stack([normalisation.mean, normalisation.deviation])
        return bool(np.isfinite(statistics).all() and (normalisation.deviation > 0).all())

    def _reasons(self, arm: Inspected) -> Iterator[str]:
        """Why the training has collapsed, if it has, most telling first."""
        first, last, settings = self._looks[0], self._looks[-1], self._job.settings
        classes = np.unique(self._job.train.labels)
        rate = f"learning_rate ({settings['learning_rate']:g} now)"
        if not last.finite:
            yield self._not_finite(first, last, rate)
        elif len(classes) == 1:
            name = self._job.train.class_names[classes[0]]
            yield (
                f"every training image has the label {name!r}, so there is nothing to tell apart; "
                "check the archive's labels"
            )
        elif len(self._looks) > 1 and last.fingerprint == first.fingerprint:
            yield (
                f"after {last.step} steps the outputs are exactly those before the first: nothing is "
                "trained, as when every layer is frozen or the rate is zero; "
                "check frozen, rate_factors and learning_rate"
            )
        # Without the first look: a head of zeros answers alike before the first step.
        elif len(self._looks) > 2 and all(look.answers_alike for look in self._looks[-2:]):
            yield f"{self._what_was_seen(arm)}. {self._why_alike(last, rate)}"
        elif self._stuck():
            yield (
                f"{self._what_was_seen(arm)}, for {self._patience} steps. The net has not begun to "
                f"learn or has lost what it learned: change {rate}, the starting weights, or "
                "batch_normalisation"
            )

    def _why_alike(self, last: Look, rate: str) -> str:
        remedy = (
            f"Lower {rate} or the rate_factors, or raise schedule.warmup_fraction; "
            "for pretrained weights train the head first (head.epochs)"
        )
        if not last.dead_layers:
            return f"The outputs hardly depend on the image any more. {remedy}"
        return (
            "Steps too large most likely drove these ReLUs below zero for every image; no gradient "
            "passes them, so they cannot come back, and only the last biases still move. " + remedy
        )

    def _not_finite(self, first: Look, last: Look, rate: str) -> str:
        if not first.finite:
            return (
                "before the first step the outputs are not finite numbers, so the input or the "
                "starting weights are not; check the data set's mean and std and the weights file"
            )
        return (
            f"after {last.step} steps the outputs are not finite numbers: the weights have grown "
            f"beyond all bounds, as with too high a rate; lower {rate}, "
            "raise schedule.warmup_fraction, or set precision: float32"
        )

    def _stuck(self) -> bool:
        chance = math.log(self._job.classes)
        looks = self._looks[1:]
        return (
            bool(looks)
            and looks[-1].step - looks[0].step >= self._patience
            and all(k.classes == 1 and abs(k.loss - chance) < _AT_CHANCE for k in looks)
        )

    def _what_was_seen(self, arm: Inspected) -> str:
        last, classes = self._looks[-1], self._job.classes
        norms = arm.gradient_norms(self._images, self._labels)
        vanished = [name for name, norm in norms.items() if norm < _VANISHED]
        seen = [
            f"after {last.step} steps all {len(self._images)} images looked at get the same class, with "
            f"a loss of {last.loss:.3f} (guessing: ln {classes} = {math.log(classes):.3f})"
        ]
        if last.dead_layers:
            shares = [f"{last.dead[name]:.0%} in {name}" for name in last.dead_layers]
            seen.append(f"no image activates the ReLUs of {', '.join(shares)}")
        if vanished:
            seen.append(f"the gradient has vanished in {', '.join(vanished)}")
        return "; ".join(seen)
