"""How much of the difference between frameworks is their defaults: native against harmonised runs.

Where the same network is trained in two frameworks by either protocol, the difference of the native runs
minus that of the harmonised ones is what the defaults account for (a difference of differences).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from twinbench.analysis import results
from twinbench.analysis.results import TrainedModel
from twinbench.analysis.wording import difference_interval, framework, percentage_points

_CONFIDENCE = 0.95

# The run of each framework and protocol, for one network with the same weights and settings.
_Runs = dict[tuple[str, str], str]


@dataclass(frozen=True)
class Estimate:
    """A mean difference of accuracies as a fraction, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{percentage_points(self.value)} ({difference_interval(self.low, self.high)})"


@dataclass(frozen=True)
class Gap:
    """The accuracy of framework `first` minus that of `second`, over `seeds` trainings of each.

    `defaults` is the part of the `native` difference that the `harmonised` one does not have.
    """

    network: str
    first: str
    second: str
    native: Estimate
    harmonised: Estimate
    defaults: Estimate
    seeds: int


def gaps(models: list[TrainedModel]) -> list[Gap]:
    """A gap for each network and pair of frameworks with runs by both protocols, none collapsed."""
    found = [
        (network, first, second, runs)
        for network, runs in _networks(models).items()
        for first, second in _complete_pairs(runs)
    ]
    if not found:  # then the predictions need not be read
        return []
    correct = {run: rows.astype(float) for run, rows in results.correct_predictions(models).items()}
    return [_gap(*each, correct) for each in found]


def _complete_pairs(runs: _Runs) -> Iterator[tuple[str, str]]:
    frameworks = dict.fromkeys(framework for framework, _ in runs)
    for pair in combinations(frameworks, 2):
        if all((name, protocol) in runs for name in pair for protocol in ("native", "harmonised")):
            yield pair


def _gap(network: str, first: str, second: str, runs: _Runs, correct: dict[str, np.ndarray]) -> Gap:
    native, harmonised = (
        correct[runs[first, protocol]] - correct[runs[second, protocol]]
        for protocol in ("native", "harmonised")
    )
    return Gap(
        network,
        first,
        second,
        native=_estimate(native),
        harmonised=_estimate(harmonised),
        defaults=_estimate(native - harmonised),
        seeds=len(native),
    )


def _networks(models: list[TrainedModel]) -> dict[str, _Runs]:
    """The runs of each network, its weights and its other settings; equal names get a number."""
    collapsed = {model.run for model in models if model.collapsed}
    groups: dict[str, tuple[str, _Runs]] = {}
    for run, model in results.first_models(models).items():
        if run in collapsed:
            continue
        provenance = model.provenance
        settings = dict(provenance.settings)
        protocol = settings.pop("protocol")
        name = f"{provenance.model}, weights {provenance.weights.source}"
        key = json.dumps([name, settings], sort_keys=True)
        _, runs = groups.setdefault(key, (name, {}))
        runs.setdefault((provenance.framework, protocol), run)
    names = [name for name, _ in groups.values()]
    return {
        name if names.count(name) == 1 else f"{name} ({number})": runs
        for number, (name, runs) in enumerate(groups.values(), 1)
    }


def _estimate(differences: np.ndarray) -> Estimate:
    """The mean of differences (seeds, images), over the images of one seed or over several seeds."""
    values = differences[0] if len(differences) == 1 else differences.mean(axis=1)
    mean = float(values.mean())
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * stats.sem(values))
    return Estimate(mean, mean - half, mean + half)


def finding(gap: Gap) -> str:
    """What a gap says, in two sentences."""
    measured = (
        f"{gap.network}: {framework(gap.first)} minus {framework(gap.second)} is {gap.native} with "
        f"each framework's own defaults and {gap.harmonised} with the same protocol; the defaults "
        f"account for {gap.defaults}."
    )
    if not gap.defaults.clear:
        return f"{measured} That is within the noise: no effect of the defaults is shown."
    if gap.native.clear and gap.native.value * gap.defaults.value > 0:
        percent = 100 * gap.defaults.value / gap.native.value
        return f"{measured} That is {percent:.0f} % of the difference between the frameworks."
    return f"{measured} So the defaults make a difference of their own."
