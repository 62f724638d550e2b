"""Each pair of runs compared: the difference, its interval, the tests, and the verdict."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
from scipy import stats

from twinbench.analysis import results, tables
from twinbench.analysis.reading import Provenance
from twinbench.analysis.results import StudySettings, TrainedModel
from twinbench.analysis.spread import known_spread
from twinbench.analysis.statistics import SIGNIFICANCE, holm, moderated, score_interval

# What can differ between two runs, in the order of reports. The last two a setting asks for, but the
# hardware decides.
FACTORS = (
    "weights",
    "framework",
    "network",
    "protocol",
    "training settings",
    "precision",
    "device",
)
HARDWARE = ("precision", "device")
# The question of two runs of the same settings: how far apart are they by luck?
REPETITION = "repetition"


class ComparisonSettings(StudySettings):
    """`equivalence_margin`: the difference of accuracy, a fraction, below which runs are equivalent."""

    equivalence_margin: float


@dataclass(frozen=True)
class Comparison:
    """Two runs compared, a row of comparisons.csv; accuracies and differences, a - b, are fractions.

    `factors` names what differs between the runs. If that is one thing, the contrast is `planned`, and
    `question` is that thing; else its cause cannot be named, and it is not tested. The interval, of
    `confidence`, is for new trainings and new test images; `trained_low` and `trained_high` are the 95 %
    interval of the two trained models of one seed alone. `p_holm` is adjusted over the contrasts of the
    question, and the interval's confidence accordingly. `same_direction` is the probability that a new
    pair of trainings has the same run ahead, `seeds_to_settle` the number of seeds in all that would
    probably settle the question (NaN: none would). Not tested values are NaN. `verdict` is a or b (the
    more accurate run), equivalent, open, confounded or collapsed.
    """

    run_a: str
    run_b: str
    planned: bool
    question: str
    factors: str
    seeds: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    difference_low: float
    difference_high: float
    confidence: float
    standard_error: float
    degrees_of_freedom: float
    p_value: float
    p_holm: float
    equivalence_p: float
    equivalence_p_holm: float
    same_direction: float
    seeds_to_settle: float
    only_a_correct: int
    only_b_correct: int
    trained_low: float
    trained_high: float
    verdict: str

    @property
    def winner(self) -> str | None:
        """The more accurate run, if the test shows a difference."""
        return {"a": self.run_a, "b": self.run_b}.get(self.verdict)

    @property
    def hardware(self) -> list[str]:
        """Which of precision and device differ."""
        return [name for name in HARDWARE if name in self.factors.split(", ")]


_COLUMNS = [field.name for field in fields(Comparison)]


@dataclass(frozen=True)
class _Run:
    """What one run got right: `correct` is bool (seeds, images); `provenances` are those of its seeds."""

    name: str
    correct: np.ndarray
    collapsed: bool
    provenances: list[Provenance]


def compare(models: list[TrainedModel], equivalence_margin: float) -> list[Comparison]:
    """Compare each pair of runs of a study, in the order of the settings.

    Runs are paired by test image and by seed: the same seed means the same sample order and, for twins,
    the same initial weights.
    """
    pairs = [
        _compare(*_ordered(a, b), equivalence_margin) for a, b in combinations(_runs(models), 2)
    ]
    adjusted: dict[int, Comparison] = {}
    for question in {pair.question for pair in pairs}:
        family = {place: pair for place, pair in enumerate(pairs) if pair.question == question}
        adjusted |= zip(family, _adjusted(list(family.values())), strict=True)
    return [_with_verdict(adjusted[place]) for place in range(len(pairs))]


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
            any(model.collapsed for model in models if model.run == run),
            [model.provenance for model in models if model.run == run],
        )
        for run, correct in results.correct_predictions(models).items()
    ]


def _ordered(a: _Run, b: _Run) -> tuple[_Run, _Run]:
    """In the order of the settings, but pretrained minus scratch: one asks what weights gain."""
    scratch = [run.provenances[0].weights.source == "none" for run in (a, b)]
    return (b, a) if scratch == [True, False] else (a, b)


def differences(correct_a: np.ndarray, correct_b: np.ndarray) -> np.ndarray:
    """Whether a is right minus whether b is right, int8 (seeds, images), of bool (seeds, images)."""
    return correct_a.astype(np.int8) - correct_b.astype(np.int8)


def _compare(a: _Run, b: _Run, equivalence_margin: float) -> Comparison:
    """The comparison before Holm's adjustment, and, unless it is final, without the verdict."""
    pair = differences(a.correct, b.correct)
    seeds, images = pair.shape
    factors = _factors(a, b)
    twins = {"weights", "network", "protocol", "training settings"}.isdisjoint(factors)
    epochs = min(found.epochs_run for found in (*a.provenances, *b.provenances))
    estimate = moderated(pair, known_spread(twins, epochs))
    low, high = estimate.interval()
    only_a, only_b = int((pair > 0).sum()), int((pair < 0).sum())
    one_seed = score_interval(only_a, only_b, images) if seeds == 1 else (np.nan, np.nan)
    # A collapse is a failure to mend, which a test would only restate.
    verdict = (
        "collapsed" if a.collapsed or b.collapsed else "confounded" if len(factors) > 1 else ""
    )
    tested = not verdict
    settled = estimate.seeds_to_settle(equivalence_margin) if tested else None
    return Comparison(
        run_a=a.name,
        run_b=b.name,
        planned=len(factors) <= 1,
        question=", ".join(factors) or REPETITION,
        factors=", ".join(factors),
        seeds=seeds,
        accuracy_a=float(a.correct.mean()),
        accuracy_b=float(b.correct.mean()),
        difference=estimate.difference,
        difference_low=low,
        difference_high=high,
        confidence=1 - SIGNIFICANCE,
        standard_error=estimate.standard_error,
        degrees_of_freedom=estimate.degrees_of_freedom,
        p_value=estimate.p_value() if tested else np.nan,
        p_holm=np.nan,
        equivalence_p=estimate.equivalence_p(equivalence_margin) if tested else np.nan,
        equivalence_p_holm=np.nan,
        same_direction=estimate.same_direction() if tested else np.nan,
        seeds_to_settle=np.nan if settled is None else settled,
        only_a_correct=only_a,
        only_b_correct=only_b,
        trained_low=one_seed[0],
        trained_high=one_seed[1],
        verdict=verdict,
    )


def _factors(a: _Run, b: _Run) -> list[str]:
    """What differs between two runs. Hardware counts if it differs in any seed."""
    pairs = list(zip(a.provenances, b.provenances, strict=True))
    (x, y), *_ = pairs
    differs = {
        "weights": x.weights.source != y.weights.source or x.weights.file != y.weights.file,
        "framework": x.framework != y.framework,
        "network": x.model != y.model,
        "protocol": x.settings.get("protocol") != y.settings.get("protocol"),
    }
    # Fine-tuning needs its own schedule: settings that come with the weights are not another factor.
    differs["training settings"] = not differs["weights"] and _recipe(x) != _recipe(y)
    differs |= {
        name: any(getattr(x, name) != getattr(y, name) for x, y in pairs) for name in HARDWARE
    }
    return [name for name in FACTORS if differs[name]]


def _recipe(provenance: Provenance) -> dict[str, Any]:
    """The settings that are not a factor of their own: of hardware, what was used counts."""
    own = (*HARDWARE, "protocol")
    return {name: value for name, value in provenance.settings.items() if name not in own}


def _adjusted(family: list[Comparison]) -> Iterator[Comparison]:
    """The contrasts of one question after Holm's adjustment; each interval excludes 0 exactly if its
    adjusted p value is below `SIGNIFICANCE`."""
    values = zip(
        family,
        holm([pair.p_value for pair in family]),
        holm([pair.equivalence_p for pair in family]),
        strict=True,
    )
    for pair, p_holm, equivalence_p_holm in values:
        if np.isnan(pair.p_value):
            yield pair
            continue
        # The factor of the adjustment; where that ends at 1, nothing depends on it.
        confidence = 1 - SIGNIFICANCE * (pair.p_value / p_holm if p_holm < 1 else 1)
        half = stats.t.ppf((1 + confidence) / 2, pair.degrees_of_freedom) * pair.standard_error
        yield replace(
            pair,
            p_holm=p_holm,
            equivalence_p_holm=equivalence_p_holm,
            confidence=confidence,
            difference_low=pair.difference - half,
            difference_high=pair.difference + half,
        )


def _with_verdict(pair: Comparison) -> Comparison:
    if pair.verdict:
        return pair
    if pair.p_holm < SIGNIFICANCE:
        return replace(pair, verdict="a" if pair.difference > 0 else "b")
    return replace(pair, verdict="equivalent" if pair.equivalence_p_holm < SIGNIFICANCE else "open")
