"""How much of the gap between frameworks is their defaults: native runs against harmonised ones.

Where the same net is trained in two frameworks by either protocol, the gap of the native runs minus that
of the harmonised ones is what the defaults make of it (a difference of differences).
"""

import json
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from twinbench.analysis import study
from twinbench.analysis.wording import points

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean difference of accuracies as a fraction, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{points(self.value)} points ({points(self.low)} to {points(self.high)})"


@dataclass(frozen=True)
class Gap:
    """The accuracy of `first` minus that of `second`, two frameworks, with the same net and weights.

    `seeds` is how many trainings of each stand behind it.
    """

    net: str
    first: str
    second: str
    native: Estimate
    harmonised: Estimate
    defaults: Estimate
    seeds: int


def gaps(jobs: list[study.Job]) -> list[Gap]:
    """A gap for each net and pair of frameworks that has sound runs by both protocols."""
    correct: dict[str, list[np.ndarray]] = {}
    for job, predictions in study.predictions(jobs):
        correct.setdefault(job.run, []).append(predictions.correct.astype(float))
    found = []
    for net, runs in _comparable(jobs).items():
        frameworks = list(dict.fromkeys(framework for framework, _ in runs))
        for first, second in combinations(frameworks, 2):
            sides = [
                (runs.get((first, protocol)), runs.get((second, protocol)))
                for protocol in ("native", "harmonised")
            ]
            if any(run is None for side in sides for run in side):
                continue
            native, harmonised = (np.stack(correct[a]) - np.stack(correct[b]) for a, b in sides)
            found.append(
                Gap(
                    net,
                    first,
                    second,
                    _estimate(native),
                    _estimate(harmonised),
                    _estimate(native - harmonised),
                    len(native),
                )
            )
    return found


def _comparable(jobs: list[study.Job]) -> dict[str, dict[tuple[str, str], str]]:
    """For each net the run of each (framework, protocol) among runs that are alike otherwise."""
    collapsed = {job.run for job in jobs if job.collapsed}
    groups: dict[str, dict[tuple[str, str], str]] = {}
    names: dict[str, str] = {}
    for run, job in study.first_jobs(jobs).items():
        if run in collapsed:
            continue
        noted = dict(job.provenance["settings"])
        protocol = noted.pop("protocol", "harmonised")
        key = json.dumps([job.provenance["model"], job.weights, noted], sort_keys=True)
        names[key] = f"{job.provenance['model']}, weights {job.weights}"
        groups.setdefault(key, {}).setdefault((job.provenance["framework"], protocol), run)
    return {
        names[key]
        if list(names.values()).count(names[key]) == 1
        else f"{names[key]} ({index})": runs
        for index, (key, runs) in enumerate(groups.items(), 1)
    }


def _estimate(differences: np.ndarray) -> Estimate:
    """The mean of differences (seeds, images), over the images of one seed or over several seeds."""
    values = differences[0] if len(differences) == 1 else differences.mean(axis=1)
    mean, count = values.mean(), len(values)
    half = stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count)
    return Estimate(float(mean), float(mean - half), float(mean + half))


def finding(gap: Gap, names: dict[str, str]) -> str:
    """What a gap says, in one sentence or two."""
    first, second = (names.get(name, name) for name in (gap.first, gap.second))
    said = (
        f"{gap.net}: by their own defaults {first} minus {second} is {gap.native}, by the same protocol "
        f"{gap.harmonised}; the defaults make {gap.defaults} of it. "
    )
    if not gap.defaults.clear:
        return said + "That is within the noise: no effect of the defaults is shown."
    if gap.native.clear and gap.native.value * gap.defaults.value > 0:
        share = gap.defaults.value / gap.native.value
        return said + f"So {100 * share:.0f} % of the gap between the frameworks is their defaults."
    return said + "So the defaults make a difference of their own."
