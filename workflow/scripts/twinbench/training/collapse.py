"""Detects a collapsed training by probing a few validation images between steps.

A collapsed network gives every image the same answer: its loss stays at the logarithm of the number
of classes, because its ReLUs are dead or its numbers are not finite. Its accuracy, chance, would
look like a result; here it becomes a failure with a diagnosis.
"""

import hashlib
import math
from dataclasses import asdict, dataclass

import numpy as np

from twinbench.backends.backend import Probed
from twinbench.training import recorded
from twinbench.training.job import Job, log_softmax

_IMAGES = 64  # of the validation split
_FIRST_PROBE = 25  # steps after the start; then after twice as many each time, and after each epoch
_AT_CHANCE = 0.01  # nats from ln(classes)
_DEAD_LAYER = 0.99  # fraction of units that no image activates
_SAME_LOGITS = 1e-4  # std over the images, of the class where it is largest
_VANISHED = 1e-7  # norm of a layer's gradient, of the mean loss of the images
# One class for everything at the loss of guessing may be a slow start, so it must last.
_PATIENCE_STEPS = 200
_PATIENCE_EPOCHS = 2


@dataclass(frozen=True)
class Probe:
    """What one probe measured, `step` steps after the start of the training.

    `loss` is the mean cross-entropy in nats, `classes` the number of predicted classes, `logit_std` the
    largest std of a class's logit over the images, `dead` the fraction of dead units by layer.
    """

    step: int
    finite: bool
    loss: float
    classes: int
    logit_std: float
    dead: dict[str, float]
    fingerprint: str

    @property
    def dead_layers(self) -> list[str]:
        return [name for name, fraction in self.dead.items() if fraction >= _DEAD_LAYER]

    @property
    def answers_alike(self) -> bool:
        """Whether every image gets the same answer for a reason that will not go away."""
        return self.classes == 1 and (bool(self.dead_layers) or self.logit_std < _SAME_LOGITS)


class Collapsed(Exception):
    """Training has stopped making progress, seen `step` steps after its start.

    The text says what was seen, why, and what to change.
    """

    def __init__(self, text: str, step: int) -> None:
        super().__init__(text)
        self.step = step


class CollapseDetector:
    """Probes a training and raises `Collapsed`. Its state is part of a checkpoint."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._images = job.validation.images[:_IMAGES]
        self._labels = job.validation.labels[:_IMAGES]
        self._probes: list[Probe] = []

    def state(self) -> list[dict]:
        return [asdict(probe) for probe in self._probes]

    def restore(self, state: list[dict]) -> None:
        self._probes = [Probe(**probe) for probe in state]

    @property
    def dead_relus(self) -> float:
        """The largest fraction of dead units in any layer, at the last probe."""
        return max(self._probes[-1].dead.values(), default=0.0)

    def next_due(self, step: int) -> int:
        """After how many steps since the start to probe next, if `step` are done: 25, 50, 100, 200 ...

        The loop also probes at the end of each epoch. A probe waits for a GPU.
        """
        due = _FIRST_PROBE
        while due <= step:
            due *= 2
        return due

    def probe(self, backend: Probed, step: int) -> None:
        """Probe now, `step` steps after the start of the training, 0 before the first step."""
        logits, dead = backend.probe(self._images)
        # The first probe is the reference; of the others only the recent ones matter.
        self._probes = [*self._probes[:1], *self._recent(step), self._probe(step, logits, dead)]
        if reason := self._reason(backend):
            raise Collapsed(reason, step)

    def _recent(self, step: int) -> list[Probe]:
        """The probes after the first one, from the last that is `_patience` steps old."""
        since = step - self._patience
        old = [probe.step for probe in self._probes[1:] if probe.step <= since]
        return [probe for probe in self._probes[1:] if probe.step >= max(old, default=0)]

    @property
    def _patience(self) -> int:
        """In steps."""
        return max(_PATIENCE_STEPS, _PATIENCE_EPOCHS * self._job.steps_per_epoch)

    def _probe(self, step: int, logits: np.ndarray, dead: dict[str, float]) -> Probe:
        finite = self._input_is_finite() and bool(np.isfinite(logits).all())
        if not finite:
            return Probe(step, False, math.nan, 0, math.nan, dead, "")
        outputs = log_softmax(logits)
        return Probe(
            step=step,
            finite=True,
            loss=float(-outputs[np.arange(len(logits)), self._labels].mean()),
            classes=len(np.unique(logits.argmax(axis=1))),
            logit_std=float(logits.std(axis=0).max()),
            dead=dead,
            fingerprint=hashlib.sha256(np.ascontiguousarray(logits).data).hexdigest(),
        )

    def _input_is_finite(self) -> bool:
        """Checked here, since TensorFlow's ReLU turns NaN into zero."""
        normalisation = self._job.normalisation
        statistics = np.stack([normalisation.mean, normalisation.std])
        return bool(np.isfinite(statistics).all() and (normalisation.std > 0).all())

    def _reason(self, backend: Probed) -> str | None:
        """Why the training has collapsed, if it has: the most specific reason."""
        first, last, settings = self._probes[0], self._probes[-1], self._job.settings
        classes = np.unique(self._job.train.labels)
        rate = f"{settings.learning_rate:g}"
        if not first.finite:
            return recorded.NEVER_FINITE
        if not last.finite:
            return recorded.DIVERGED.format(step=last.step, rate=rate)
        if len(classes) == 1:
            return recorded.ONE_LABEL.format(name=repr(self._job.train.class_names[classes[0]]))
        if len(self._probes) > 1 and last.fingerprint == first.fingerprint:
            return recorded.NO_CHANGE.format(step=last.step)
        # Without the first probe: a head of zeros gives uniform predictions before the first step.
        if len(self._probes) > 2 and all(probe.answers_alike for probe in self._probes[-2:]):
            cause = recorded.DEAD_CAUSE if last.dead_layers else recorded.ALIKE
            remedy = recorded.REMEDY.format(rate=rate)
            return f"{self._what_was_seen(backend)}. {cause} {remedy}"
        if self._stuck():
            lasting = recorded.STUCK.format(steps=self._patience, rate=rate)
            return f"{self._what_was_seen(backend)}, {lasting}"
        return None

    def _stuck(self) -> bool:
        chance = math.log(self._job.classes)
        probes = self._probes[1:]
        return (
            bool(probes)
            and probes[-1].step - probes[0].step >= self._patience
            and all(
                probe.classes == 1 and abs(probe.loss - chance) < _AT_CHANCE for probe in probes
            )
        )

    def _what_was_seen(self, backend: Probed) -> str:
        last, classes = self._probes[-1], self._job.classes
        norms = backend.gradient_norms(self._images, self._labels)
        vanished = [name for name, norm in norms.items() if norm < _VANISHED]
        seen = [
            recorded.ONE_CLASS.format(
                step=last.step,
                images=len(self._images),
                loss=f"{last.loss:.3f}",
                classes=classes,
                chance=f"{math.log(classes):.3f}",
            )
        ]
        if last.dead_layers:
            fractions = [
                f"{recorded.DEAD_IN.format(share=round(100 * last.dead[name]))} {name}"
                for name in last.dead_layers
            ]
            seen.append(f"{recorded.DEAD} {', '.join(fractions)}")
        if vanished:
            seen.append(f"{recorded.VANISHED} {', '.join(vanished)}")
        return "; ".join(seen)
