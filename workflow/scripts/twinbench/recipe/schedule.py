"""Which layers are trained when, at which learning rate, and which epoch is the result."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from twinbench.config.training import Schedule, Training
from twinbench.networks.architectures import HEAD, Architecture

History = list[dict]  # one row per finished epoch


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs that train the same layers with one optimiser.

    `multipliers` scales the learning rate of each layer; a layer with 0 is frozen.
    """

    name: str
    first_epoch: int
    last_epoch: int
    learning_rate: float
    multipliers: Mapping[str, float]

    def trains(self, layer: str) -> bool:
        return self.multipliers[layer] > 0


def phases(settings: Training, architecture: Architecture) -> list[Phase]:
    """The head alone for `head.epochs`, then every layer that is not frozen, to the last epoch."""
    names = architecture.weighted_layers()
    head_epochs = min(settings.head.epochs, settings.epochs)
    plan = []
    if head_epochs:
        only_head = {name: float(name == HEAD) for name in names}
        plan.append(Phase("head", 1, head_epochs, settings.head.learning_rate, only_head))
    if head_epochs < settings.epochs:
        multipliers = {name: _multiplier(name, settings) for name in names}
        first = head_epochs + 1
        plan.append(Phase("all", first, settings.epochs, settings.learning_rate, multipliers))
    return plan


def _multiplier(layer: str, settings: Training) -> float:
    """The longest matching prefix of `learning_rate_multipliers` counts; `frozen` beats it."""
    if layer.startswith(tuple(settings.frozen)):
        return 0.0
    multipliers = settings.learning_rate_multipliers
    matching = [prefix for prefix in multipliers if layer.startswith(prefix)]
    return multipliers[max(matching, key=len)] if matching else 1.0


def learning_rate(phase: Phase, epoch: int, step: int, steps: int, schedule: Schedule) -> float:
    """The learning rate of one of an epoch's `steps`: a linear warm-up, then the schedule's shape.

    Warm-up takes `warmup_fraction` of the phase's steps; then the learning rate falls to
    `final_fraction` of its peak (cosine: Loshchilov and Hutter 2017).
    """
    total = (phase.last_epoch - phase.first_epoch + 1) * steps
    position = (epoch - phase.first_epoch) * steps + step
    warmup = round(schedule.warmup_fraction * total)
    if position < warmup:
        return phase.learning_rate * (position + 1) / warmup
    progress = (position - warmup) / max(1, total - warmup)
    final = schedule.final_fraction
    match schedule.shape:
        case "constant":
            return phase.learning_rate
        case "linear":
            return phase.learning_rate * (1 - (1 - final) * progress)
        case "cosine":
            falling = (1 + math.cos(math.pi * progress)) / 2
            return phase.learning_rate * (final + (1 - final) * falling)


def selected_epoch(history: History, which: str) -> int:
    """The epoch whose weights are the run's: the `last`, or the `best` on the validation split.

    Best is the highest validation accuracy, then the lowest validation loss, then the earliest.
    """
    if which == "last":
        return history[-1]["epoch"]
    best = max(history, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    return best["epoch"]


def should_stop(history: History, patience: int | None) -> bool:
    """Early stopping: the validation loss has not improved for `patience` epochs."""
    if patience is None or not history:
        return False
    losses = [row["validation_loss"] for row in history]
    return len(losses) - 1 - losses.index(min(losses)) >= patience


def plateau_scale(history: History, patience: int | None, factor: float) -> float:
    """What the learning rate is multiplied with: `factor` for each plateau of `patience` epochs."""
    if patience is None:
        return 1.0
    reductions, waited, best = 0, 0, math.inf
    for row in history:
        improved = row["validation_loss"] < best
        best = min(best, row["validation_loss"])
        waited = 0 if improved else waited + 1
        if waited == patience:
            reductions, waited = reductions + 1, 0
    return factor**reductions
