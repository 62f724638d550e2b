"""Each pair of runs compared: the difference, its interval, the tests, and the verdict."""

from collections import Counter
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd

from twinbench.analysis import results, tables
from twinbench.analysis.reading import Provenance
from twinbench.analysis.results import StudySettings, TrainedModel
from twinbench.analysis.spread import known_spread
from twinbench.analysis.statistics import SIGNIFICANCE, Estimate, holm, moderated, score_interval
from twinbench.config.arguments import flat
from twinbench.errors import ANEW, InputError
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.texts import translatable

# What can differ between two runs, in the order of reports. The last two a setting asks for, but the
# hardware decides.
FACTORS = (
    translatable("weights"),
    translatable("framework"),
    translatable("network"),
    translatable("protocol"),
    translatable("training settings"),
    translatable("precision"),
    translatable("device"),
)
HARDWARE = ("precision", "device")
_MULTIPLIERS = "learning_rate_multipliers"
# How pretrained weights are fine-tuned belongs to them, and is not another factor.
_FINE_TUNING = ("learning_rate", _MULTIPLIERS, "optimiser", "schedule", "head", "frozen")
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
    question, and the interval's confidence accordingly. `assumed_spread` is the standard deviation of one
    method's trainings that is known from elsewhere. `same_direction` is the probability that a new
    pair of trainings has the same run ahead, `seeds_to_settle` the number of seeds in all that would
    probably settle what is open (NaN: none would). Not tested values are NaN. `verdict` is a or b (the
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
    assumed_spread: float
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


_COLUMNS = [field.name for field in fields(Comparison)]


@dataclass(frozen=True)
class Run:
    """What a run got right, `correct`, bool (seeds, images); `provenances` are those of its seeds."""

    name: str
    correct: np.ndarray
    collapsed: bool
    provenances: list[Provenance]


@dataclass(frozen=True)
class _Pair:
    """Two runs, what differs between them, and the estimate of the difference of their accuracies."""

    a: Run
    b: Run
    factors: list[str]
    assumed_spread: float
    estimate: Estimate
    only_a_correct: int
    only_b_correct: int

    @property
    def question(self) -> str:
        return ", ".join(self.factors) or REPETITION

    @property
    def untested(self) -> str | None:
        """The verdict of a pair that is not tested: a collapse is a failure to mend, which a test would
        only restate, and the cause of a confounded difference cannot be named."""
        if self.a.collapsed or self.b.collapsed:
            return "collapsed"
        return "confounded" if len(self.factors) > 1 else None


@dataclass(frozen=True)
class _Outcome:
    """What the tests of a pair say: fields of `Comparison`."""

    verdict: str
    confidence: float = 1 - SIGNIFICANCE
    p_value: float = np.nan
    p_holm: float = np.nan
    equivalence_p: float = np.nan
    equivalence_p_holm: float = np.nan
    same_direction: float = np.nan
    seeds_to_settle: float = np.nan


def compare(models: list[TrainedModel], equivalence_margin: float) -> list[Comparison]:
    """Compare each pair of runs of a study, in the order of the settings.

    Runs are paired by test image and by seed: the same seed means the same sample order and, for twins,
    the same initial weights.
    """
    return compare_runs(_runs(models), equivalence_margin)


def compare_runs(runs: list[Run], equivalence_margin: float) -> list[Comparison]:
    """Compare each pair of runs, of the same seeds and test images."""
    pairs = [_pair(*_ordered(a, b)) for a, b in combinations(runs, 2)]
    outcomes = [_Outcome(pair.untested or "") for pair in pairs]
    for question in {pair.question for pair in pairs}:
        family = [
            place
            for place, pair in enumerate(pairs)
            if pair.question == question and not pair.untested
        ]
        tested = _tested([pairs[place].estimate for place in family], equivalence_margin)
        for place, outcome in zip(family, tested, strict=True):
            outcomes[place] = outcome
    return [_comparison(*found) for found in zip(pairs, outcomes, strict=True)]


def write(comparisons: list[Comparison], path: Path) -> None:
    """Write the comparisons, one row per pair of runs."""
    tables.write(pd.DataFrame(comparisons, columns=_COLUMNS), path)


def read(path: Path, runs: list[str]) -> list[Comparison]:
    """Read the comparisons that `write` wrote. Raises `InputError` unless they are all pairs of the runs."""
    table = tables.read(path, get_type_hints(Comparison))
    found = [Comparison(*row) for row in table[_COLUMNS].itertuples(index=False)]
    pairs = Counter(frozenset((pair.run_a, pair.run_b)) for pair in found)
    if pairs != Counter(map(frozenset, combinations(runs, 2))):
        raise InputError(f"{path}: it does not have each pair of runs once; {ANEW}")
    return found


def _runs(models: list[TrainedModel]) -> list[Run]:
    return [
        Run(
            run,
            correct,
            any(model.collapsed for model in models if model.run == run),
            [model.provenance for model in models if model.run == run],
        )
        for run, correct in results.correct_predictions(models).items()
    ]


def _ordered(a: Run, b: Run) -> tuple[Run, Run]:
    """In the order of the settings, but pretrained minus scratch: one asks what weights gain."""
    scratch = [run.provenances[0].weights.source == "none" for run in (a, b)]
    return (b, a) if scratch == [True, False] else (a, b)


def differences(correct_a: np.ndarray, correct_b: np.ndarray) -> np.ndarray:
    """Whether a is right minus whether b is right, int8 (seeds, images), of bool (seeds, images)."""
    return correct_a.astype(np.int8) - correct_b.astype(np.int8)


def _pair(a: Run, b: Run) -> _Pair:
    pair = differences(a.correct, b.correct)
    factors = _factors(a, b)
    spread = known_spread([*a.provenances, *b.provenances])
    estimate = moderated(pair, spread)
    return _Pair(a, b, factors, spread.std, estimate, int((pair > 0).sum()), int((pair < 0).sum()))


def _tested(family: list[Estimate], equivalence_margin: float) -> list[_Outcome]:
    """The outcomes of the contrasts of one question, by Holm's adjustment."""
    p_values = [estimate.p_value() for estimate in family]
    equivalence_p = [estimate.equivalence_p(equivalence_margin) for estimate in family]
    found = zip(family, p_values, holm(p_values), equivalence_p, holm(equivalence_p), strict=True)
    return [_outcome(*values, len(family), equivalence_margin) for values in found]


def _outcome(
    estimate: Estimate,
    p_value: float,
    p_holm: float,
    equivalence_p: float,
    equivalence_p_holm: float,
    contrasts: int,
    equivalence_margin: float,
) -> _Outcome:
    if p_holm < SIGNIFICANCE:
        verdict = "a" if estimate.difference > 0 else "b"
    else:
        verdict = "equivalent" if equivalence_p_holm < SIGNIFICANCE else "open"
    # The factor of the adjustment, so that the interval excludes 0 exactly if there is a winner. At 1,
    # where the adjustment ends, the factor is not known any more, and the greatest does the same.
    factor = p_holm / p_value if 0 < p_holm < 1 else contrasts
    settled = None
    if verdict == "open":
        settled = estimate.seeds_to_settle(equivalence_margin, contrasts)
    return _Outcome(
        verdict=verdict,
        confidence=1 - SIGNIFICANCE / factor,
        p_value=p_value,
        p_holm=p_holm,
        equivalence_p=equivalence_p,
        equivalence_p_holm=equivalence_p_holm,
        same_direction=estimate.same_direction(),
        seeds_to_settle=np.nan if settled is None else float(settled),
    )


def _comparison(pair: _Pair, outcome: _Outcome) -> Comparison:
    estimate = pair.estimate
    low, high = estimate.interval(outcome.confidence)
    counts = pair.only_a_correct, pair.only_b_correct
    one_seed = np.nan, np.nan
    if estimate.seeds == 1:
        one_seed = score_interval(*counts, pair.a.correct.size)
    return Comparison(
        run_a=pair.a.name,
        run_b=pair.b.name,
        planned=len(pair.factors) <= 1,
        question=pair.question,
        factors=", ".join(pair.factors),
        seeds=estimate.seeds,
        accuracy_a=float(pair.a.correct.mean()),
        accuracy_b=float(pair.b.correct.mean()),
        difference=estimate.difference,
        difference_low=low,
        difference_high=high,
        standard_error=estimate.standard_error,
        degrees_of_freedom=float(estimate.degrees_of_freedom),
        assumed_spread=pair.assumed_spread,
        only_a_correct=counts[0],
        only_b_correct=counts[1],
        trained_low=one_seed[0],
        trained_high=one_seed[1],
        **vars(outcome),
    )


def _factors(a: Run, b: Run) -> list[str]:
    """What differs between two runs. Hardware counts if it differs in any seed."""
    pairs = list(zip(a.provenances, b.provenances, strict=True))
    (x, y), *_ = pairs
    differs = {
        "weights": x.weights.identity != y.weights.identity,
        "framework": x.framework != y.framework,
        "network": x.model != y.model,
        "protocol": x.settings.get("protocol") != y.settings.get("protocol"),
    }
    settings = {name.partition(".")[0] for name in differing_settings(x, y)}
    differs["training settings"] = bool(settings.difference(_FINE_TUNING * differs["weights"]))
    differs |= {
        name: any(getattr(x, name) != getattr(y, name) for x, y in pairs) for name in HARDWARE
    }
    return [name for name in FACTORS if differs[name]]


def differing_settings(a: Provenance, b: Provenance) -> list[str]:
    """The training settings by which two runs differ, with dotted keys, such as `schedule.shape`."""
    recipe, other = flat(_recipe(a, b)), flat(_recipe(b, a))
    names = dict.fromkeys([*recipe, *other])
    return [name for name in names if recipe.get(name) != other.get(name)]


def _recipe(provenance: Provenance, other: Provenance) -> dict[str, Any]:
    """The settings that have an effect and are not a factor of their own: of hardware, what was used counts.
    A multiplier for layers that another network does not have belongs to the network."""
    own = (*HARDWARE, "protocol")
    found = {name: value for name, value in provenance.settings.items() if name not in own}
    if not found.get("progressive_resizing", {}).get("epochs"):
        found.pop("progressive_resizing", None)
    if not found.get("reduce_on_plateau", {}).get("patience"):
        found.pop("reduce_on_plateau", None)
    head = dict(found.get("head", {}))
    if not head.get("epochs"):
        found["head"] = head | {"learning_rate": None}
        if head.get("initialisation") == "auto":
            found["head"]["initialisation"] = "random"
    # The size that a network has by itself belongs to it.
    sizes = [each.settings.get("input_size") for each in (provenance, other)]
    network = ARCHITECTURES.get(provenance.model)
    if network and (any(sizes) or provenance.model == other.model):
        found["input_size"] = sizes[0] or network.input_size
    multipliers = {
        prefix: value
        for prefix, value in found.pop(_MULTIPLIERS, {}).items()
        if provenance.model == other.model
        or any(layer.startswith(prefix) for layer in other.layers)
    }
    return found | ({_MULTIPLIERS: multipliers} if multipliers else {})
