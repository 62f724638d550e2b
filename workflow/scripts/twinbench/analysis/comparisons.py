"""Each pair of runs compared: the difference, its interval, the tests, and the verdict in words."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd

from twinbench.analysis import results, tables
from twinbench.analysis.reading import Provenance
from twinbench.analysis.results import StudySettings, TrainedModel
from twinbench.analysis.statistics import (
    SEEDS_FOR_A_CLAIM,
    SIGNIFICANCE,
    holm,
    mcnemar_exact,
    paired_images,
    paired_seeds,
)
from twinbench.analysis.wording import (
    difference_interval,
    listed,
    margin,
    p_value,
    percentage_points,
)

# Factors that a setting asks for, but the hardware decides.
HARDWARE = ("device", "precision")


class ComparisonSettings(StudySettings):
    """`equivalence_margin`: the difference of accuracy, a fraction, below which runs are equivalent."""

    equivalence_margin: float


@dataclass(frozen=True)
class Comparison:
    """Two runs compared, a row of comparisons.csv; differences are a - b, as fractions.

    `level` says what is compared: trained `models` (one seed) or `methods`. `mcnemar_seeds` counts the
    seeds in which McNemar's test alone finds a difference. `factors` names what differs between the
    runs, and `confounded` says so again if that is more than one thing. `outcome` is a or b (the more
    accurate run), equivalent, none, undecided or not compared.
    """

    run_a: str
    run_b: str
    level: str
    seeds: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    difference_low: float
    difference_high: float
    interval: str
    only_a_correct: int
    only_b_correct: int
    mcnemar_seeds: int
    test: str
    p_value: float
    p_holm: float
    equivalence_p: float
    equivalence_p_holm: float
    factors: str
    confounded: str
    outcome: str
    verdict: str

    @property
    def hardware(self) -> list[str]:
        """Which of device and precision differ."""
        return [name for name in HARDWARE if name in self.factors.split(", ")]

    @property
    def winner(self) -> str | None:
        """The more accurate run, if the test shows a difference."""
        return {"a": self.run_a, "b": self.run_b}.get(self.outcome)


_COLUMNS = [field.name for field in fields(Comparison)]


@dataclass(frozen=True)
class _Run:
    """What one run got right: `correct` is bool (seeds, images), `collapsed` counts its seeds, and
    `provenances` holds what training recorded of each."""

    name: str
    correct: np.ndarray
    collapsed: int
    provenances: list[Provenance]


def compare(models: list[TrainedModel], equivalence_margin: float) -> list[Comparison]:
    """Compare each pair of runs of a study, in the order of the settings.

    Runs are paired by test image (one seed) or by seed (several: the same seed means the same sample
    order and, for twins, the same initial weights).
    """
    pairs = [_compare(a, b, equivalence_margin) for a, b in combinations(_runs(models), 2)]
    adjusted = holm([pair.p_value for pair in pairs])
    equivalence = holm([pair.equivalence_p for pair in pairs])
    return [
        _with_verdict(
            replace(pair, p_holm=p_holm, equivalence_p_holm=equivalence_p_holm), equivalence_margin
        )
        for pair, p_holm, equivalence_p_holm in zip(pairs, adjusted, equivalence, strict=True)
    ]


def write(comparisons: list[Comparison], path: Path) -> None:
    """Write the comparisons, one row per pair of runs."""
    tables.write(pd.DataFrame(comparisons, columns=_COLUMNS), path)


def read(path: Path) -> list[Comparison]:
    """Read the comparisons that `write` wrote."""
    table = tables.read(path, get_type_hints(Comparison))
    return [Comparison(*row) for row in table[_COLUMNS].itertuples(index=False)]


def _runs(models: list[TrainedModel]) -> list[_Run]:
    return [
        _Run(
            run,
            correct,
            sum(model.collapsed for model in models if model.run == run),
            [model.provenance for model in models if model.run == run],
        )
        for run, correct in results.correct_predictions(models).items()
    ]


def _compare(a: _Run, b: _Run, equivalence_margin: float) -> Comparison:
    """The comparison without the adjusted p values and, unless a run collapsed, without the verdict."""
    only_a = (a.correct & ~b.correct).sum(axis=1)
    only_b = (b.correct & ~a.correct).sum(axis=1)
    seeds, images = a.correct.shape
    if seeds == 1:
        estimate = paired_images(int(only_a[0]), int(only_b[0]), images, equivalence_margin)
    else:
        counts = a.correct.sum(axis=1), b.correct.sum(axis=1)
        estimate = paired_seeds(*counts, images, equivalence_margin)
    factors = _factors(a, b)
    collapsed = [run for run in (a, b) if run.collapsed]
    if collapsed:  # a failure to fix: a test would only restate it
        estimate = replace(estimate, test="none", p_value=np.nan, equivalence_p=np.nan)
    return Comparison(
        run_a=a.name,
        run_b=b.name,
        level="models" if seeds == 1 else "methods",
        seeds=seeds,
        accuracy_a=float(a.correct.mean()),
        accuracy_b=float(b.correct.mean()),
        difference=float((only_a - only_b).sum() / a.correct.size),
        difference_low=estimate.low,
        difference_high=estimate.high,
        interval=estimate.interval,
        only_a_correct=int(only_a.sum()),
        only_b_correct=int(only_b.sum()),
        mcnemar_seeds=sum(
            mcnemar_exact(int(x), int(y)) < SIGNIFICANCE
            for x, y in zip(only_a, only_b, strict=True)
        ),
        test=estimate.test,
        p_value=estimate.p_value,
        p_holm=np.nan,
        equivalence_p=estimate.equivalence_p,
        equivalence_p_holm=np.nan,
        factors=", ".join(factors),
        confounded=f"{listed(factors)} differ" if len(factors) > 1 else "",
        outcome="not compared" if collapsed else "",
        verdict=_not_compared(collapsed) if collapsed else "",
    )


def _factors(a: _Run, b: _Run) -> list[str]:
    """What differs between two runs. Hardware counts if it differs in any seed."""
    pairs = list(zip(a.provenances, b.provenances, strict=True))
    (x, y), *_ = pairs
    factors = {
        "framework": x.framework != y.framework,
        "model": x.model != y.model,
        "weights": x.weights.source != y.weights.source,
    }
    # Fine-tuning needs its own schedule: settings that come with the weights are not another factor.
    factors["training settings"] = not factors["weights"] and _recipe(x) != _recipe(y)
    factors |= {
        name: any(getattr(x, name) != getattr(y, name) for x, y in pairs) for name in HARDWARE
    }
    return [name for name, differs in factors.items() if differs]


def _recipe(provenance: Provenance) -> dict[str, Any]:
    """The settings that are not a factor of their own: what counts of these is what was used."""
    return {name: value for name, value in provenance.settings.items() if name not in HARDWARE}


# --- Verdicts ----------------------------------------------------------------------------------


def _with_verdict(pair: Comparison, equivalence_margin: float) -> Comparison:
    if pair.outcome == "not compared":
        return pair
    pair = replace(pair, outcome=_outcome(pair))
    verdict = _VERDICTS[pair.outcome](pair, equivalence_margin)
    if pair.confounded:
        consequence = (
            "the cause cannot be named"
            if pair.outcome in ("a", "b")
            else "one effect can hide another"
        )
        verdict += f"; {pair.confounded}, so {consequence}"
    return replace(pair, verdict=verdict)


def _outcome(pair: Comparison) -> str:
    if 1 < pair.seeds < SEEDS_FOR_A_CLAIM:
        return "undecided"
    if pair.p_holm < SIGNIFICANCE:
        return "a" if pair.difference > 0 else "b"
    if pair.equivalence_p_holm < SIGNIFICANCE:
        return "equivalent"
    return "none"


def _not_compared(collapsed: list[_Run]) -> str:
    found = [
        f"{run.name} collapsed"
        + (f" in {run.collapsed} of {len(run.correct)} seeds" if len(run.correct) > 1 else "")
        for run in collapsed
    ]
    return f"not compared: {listed(found)}"


def _undecided(pair: Comparison, equivalence_margin: float) -> str:
    return f"two seeds cannot support a claim about methods: {_measured(pair)}"


def _winner(pair: Comparison, equivalence_margin: float) -> str:
    low, high, better, worse = pair.difference_low, pair.difference_high, pair.run_a, pair.run_b
    if pair.outcome == "b":
        low, high, better, worse = -high, -low, worse, better
    small = pair.equivalence_p_holm < SIGNIFICANCE
    return (
        f"{better} is more accurate than {worse} by {percentage_points(abs(pair.difference))} "
        f"(95 % interval {difference_interval(low, high)}; {p_value(pair.p_holm)} after Holm)"
        + (f", less than the margin of {margin(equivalence_margin)}" if small else "")
    )


def _equivalent(pair: Comparison, equivalence_margin: float) -> str:
    return (
        f"equivalent within {margin(equivalence_margin)}: {_measured(pair)}; equivalence "
        f"{p_value(pair.equivalence_p_holm)} after Holm"
    )


def _no_difference(pair: Comparison, equivalence_margin: float) -> str:
    why = (
        "the same in each seed, so there is no spread to test by"
        if np.isnan(pair.p_holm)
        else f"{p_value(pair.p_holm)} after Holm; not shown to be equivalent either"
    )
    return f"no difference shown: {_measured(pair)}; {why}"


def _measured(pair: Comparison) -> str:
    text = f"{pair.run_a} minus {pair.run_b} is {percentage_points(pair.difference)}"
    if np.isnan(pair.difference_low):
        return text
    interval = difference_interval(pair.difference_low, pair.difference_high)
    return f"{text} (95 % interval {interval})"


_VERDICTS: dict[str, Callable[[Comparison, float], str]] = {
    "undecided": _undecided,
    "a": _winner,
    "b": _winner,
    "equivalent": _equivalent,
    "none": _no_difference,
}
