"""How much of the difference between frameworks is their defaults: native against harmonised runs.

Where the same network is trained in two frameworks by either protocol, the difference of the native runs
minus that of the harmonised ones is what the defaults account for (a difference of differences).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from twinbench.analysis import results
from twinbench.analysis.comparisons import differences
from twinbench.analysis.results import TrainedModel
from twinbench.analysis.spread import known_spread
from twinbench.analysis.statistics import Estimate, moderated

# The run of each framework and protocol, for one network with the same weights and settings.
_Runs = dict[tuple[str, str], str]


@dataclass(frozen=True)
class Gap:
    """The accuracy of framework `first` minus that of `second`.

    `number` distinguishes groups of the same `model` and `weights` with other settings or files.
    `defaults` is the part of the `native` difference that the `harmonised` one does not have.
    """

    model: str
    weights: str
    number: int
    first: str
    second: str
    native: Estimate
    harmonised: Estimate
    defaults: Estimate


def gaps(models: list[TrainedModel], correct: dict[str, np.ndarray]) -> list[Gap]:
    """A gap for each network and pair of frameworks with runs by both protocols, none collapsed.

    `correct` is for each run bool (seeds, images).
    """
    return [
        _gap(group, first, second, runs, correct, models)
        for group, runs in _groups(models).items()
        for first, second in _complete_pairs(runs)
    ]


def _complete_pairs(runs: _Runs) -> Iterator[tuple[str, str]]:
    frameworks = dict.fromkeys(framework for framework, _ in runs)
    for pair in combinations(frameworks, 2):
        if all((name, protocol) in runs for name in pair for protocol in ("native", "harmonised")):
            yield pair


def _gap(
    group: tuple[str, str, int],
    first: str,
    second: str,
    runs: _Runs,
    correct: dict[str, np.ndarray],
    models: list[TrainedModel],
) -> Gap:
    by_protocol = {
        protocol: [
            model.provenance
            for model in models
            if model.run in (runs[first, protocol], runs[second, protocol])
        ]
        for protocol in ("native", "harmonised")
    }
    spread = known_spread([*by_protocol["native"], *by_protocol["harmonised"]])
    native, harmonised = (
        differences(correct[runs[first, protocol]], correct[runs[second, protocol]])
        for protocol in ("native", "harmonised")
    )
    return Gap(
        *group,
        first,
        second,
        native=moderated(native, spread),
        harmonised=moderated(harmonised, known_spread(by_protocol["harmonised"])),
        defaults=moderated(native - harmonised, spread, trainings=4),
    )


def _groups(models: list[TrainedModel]) -> dict[tuple[str, str, int], _Runs]:
    """The runs of each network, its weights and its other settings; equal ones of these are numbered."""
    collapsed = {model.run for model in models if model.collapsed}
    groups: dict[tuple[str, str], dict[str, _Runs]] = {}
    for run, model in results.first_models(models).items():
        if run in collapsed:
            continue
        provenance = model.provenance
        settings = dict(provenance.settings)
        protocol = settings.pop("protocol")
        others = json.dumps([provenance.weights.identity, settings], sort_keys=True)
        of_network = groups.setdefault((provenance.model, provenance.weights.source), {})
        runs = of_network.setdefault(others, {})
        runs.setdefault((provenance.framework, protocol), run)
    return {
        (*name, number): runs
        for name, of_network in groups.items()
        for number, runs in enumerate(of_network.values(), 1)
    }
