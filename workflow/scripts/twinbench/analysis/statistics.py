"""Which differences between runs are real: paired intervals, tests and verdicts in words."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from twinbench.analysis import study, wording

SIGNIFICANCE = 0.05
SEEDS_FOR_A_CLAIM = 3


@dataclass(frozen=True)
class Outcome:
    """What one run got right: `correct` is bool (seeds, test images)."""

    run: str
    correct: np.ndarray
    collapsed: int
    framework: str
    model: str
    weights: str
    settings: dict[str, Any]


class Estimate(NamedTuple):
    """A difference of two accuracies as fractions, its 95 % interval, and the tests of it.

    `p_value` tests "no difference", `equivalence_p` "a difference of the margin or more".
    """

    interval: str
    low: float
    high: float
    test: str
    p_value: float
    equivalence_p: float


def compare(directory: Path, settings: dict[str, Any], margin: float) -> pd.DataFrame:
    """Compare each pair of runs of a study: a row a pair, in the order of the settings.

    Runs are paired by test sample (one seed) or by seed (several: the same seed means the same
    order of the samples and, for twins, the same initial weights). `margin` is the difference of
    accuracy, a fraction, below which two runs count as equivalent.
    """
    outcomes = _outcomes(study.jobs(directory, settings))
    rows = [_row(a, b, margin) for a, b in combinations(outcomes, 2)]
    _adjust(rows, "p_value", "p_holm")
    _adjust(rows, "equivalence_p", "equivalence_p_holm")
    for row in rows:
        row["outcome"] = _outcome(row)
        row["verdict"] = _verdict(row, margin)
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "run_a",
    "run_b",
    "level",
    "seeds",
    "accuracy_a",
    "accuracy_b",
    "difference",
    "difference_low",
    "difference_high",
    "interval",
    "only_a_correct",
    "only_b_correct",
    "mcnemar_seeds",
    "test",
    "p_value",
    "p_holm",
    "equivalence_p",
    "equivalence_p_holm",
    "confounded",
    "outcome",
    "verdict",
]


def _outcomes(jobs: list[study.Job]) -> list[Outcome]:
    correct: dict[str, list[np.ndarray]] = {}
    for job, predictions in study.predictions(jobs):
        correct.setdefault(job.run, []).append(predictions.correct)
    first = study.first_jobs(jobs)
    return [
        Outcome(
            run,
            np.stack(rows),
            sum(job.collapsed for job in jobs if job.run == run),
            first[run].provenance["framework"],
            first[run].provenance["model"],
            first[run].weights,
            first[run].provenance["settings"],
        )
        for run, rows in correct.items()
    ]


def _row(a: Outcome, b: Outcome, margin: float) -> dict[str, Any]:
    only_a = (a.correct & ~b.correct).sum(axis=1)
    only_b = (b.correct & ~a.correct).sum(axis=1)
    seeds, images = a.correct.shape
    if seeds == 1:
        estimate = paired_samples(int(only_a[0]), int(only_b[0]), images, margin)
    else:
        estimate = paired_seeds(a.correct.sum(axis=1), b.correct.sum(axis=1), images, margin)
    collapsed = [f"{run.run} {_how_often(run.collapsed, seeds)}" for run in (a, b) if run.collapsed]
    # A run that got stuck is a fault to mend: a test would only restate that.
    untested = bool(collapsed)
    return {
        "run_a": a.run,
        "run_b": b.run,
        "level": "models" if seeds == 1 else "methods",
        "seeds": seeds,
        "accuracy_a": a.correct.mean(),
        "accuracy_b": b.correct.mean(),
        "difference": (only_a - only_b).sum() / a.correct.size,
        "difference_low": estimate.low,
        "difference_high": estimate.high,
        "interval": estimate.interval,
        "only_a_correct": int(only_a.sum()),
        "only_b_correct": int(only_b.sum()),
        "mcnemar_seeds": sum(
            mcnemar_exact(int(x), int(y)) < SIGNIFICANCE
            for x, y in zip(only_a, only_b, strict=True)
        ),
        "test": "none" if untested else estimate.test,
        "p_value": np.nan if untested else estimate.p_value,
        "equivalence_p": np.nan if untested else estimate.equivalence_p,
        "confounded": confounding(a, b),
        "collapsed": wording.listed(collapsed) if collapsed else "",
    }


def _how_often(collapsed: int, seeds: int) -> str:
    where = "" if seeds == 1 else f" in {collapsed} of {seeds} seeds"
    return f"collapsed (stuck at chance){where}"


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The two-sided exact McNemar test: the samples that only one of two models gets right."""
    return float(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)


def score_statistic(only_a: int, only_b: int, images: int, difference: float) -> float:
    """How far paired proportions are from an assumed `difference`, as a standard normal score.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design", Statistics in Medicine 17:891-908; at 0 it is McNemar's statistic.
    Unlike the t statistic it stays valid when the two models hardly ever disagree.
    """
    linear = (2 * images - only_a + only_b) * difference - only_a - only_b
    constant = -only_b * difference * (1 - difference)
    only_b_share = (np.sqrt(linear**2 - 8 * images * constant) - linear) / (4 * images)
    variance = images * (2 * only_b_share + difference * (1 - difference))
    deviation = only_a - only_b - images * difference
    return float(deviation / np.sqrt(variance)) if variance > 0 else 0.0


def score_interval(only_a: int, only_b: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a difference of paired proportions: Tango's score not beyond 1.96."""
    quantile = stats.norm.ppf(1 - SIGNIFICANCE / 2)
    observed = (only_a - only_b) / images

    def limit(sign: int) -> float:
        if observed == sign:
            return float(sign)
        return optimize.brentq(
            lambda value: score_statistic(only_a, only_b, images, value) + sign * quantile,
            observed,
            sign * (1 - 1e-9),
        )

    return limit(-1), limit(1)


def paired_samples(only_a: int, only_b: int, images: int, margin: float) -> Estimate:
    """Compare two trained models over the same test samples."""
    low, high = score_interval(only_a, only_b, images)
    above = stats.norm.sf(score_statistic(only_a, only_b, images, -margin))
    below = stats.norm.cdf(score_statistic(only_a, only_b, images, margin))
    return Estimate(
        interval="Tango score",
        low=low,
        high=high,
        test="McNemar exact",
        p_value=mcnemar_exact(only_a, only_b),
        equivalence_p=float(max(above, below)),
    )


def paired_seeds(
    correct_a: np.ndarray, correct_b: np.ndarray, images: int, margin: float
) -> Estimate:
    """Compare two methods over the same seeds: int (seeds,) test images right, of `images`."""
    differences = (correct_a - correct_b) / images
    mean, seeds = differences.mean(), len(differences)
    # Counts are compared rather than fractions: equal fractions can differ by rounding.
    spread = bool(np.ptp(correct_a - correct_b))
    half = stats.t.ppf(1 - SIGNIFICANCE / 2, seeds - 1) * differences.std(ddof=1) / np.sqrt(seeds)
    low, high = (mean - half, mean + half) if spread else (np.nan, np.nan)
    interval = f"t over seeds ({wording.plural(seeds - 1, 'degree')} of freedom)"
    if seeds < SEEDS_FOR_A_CLAIM or not spread:
        # The t statistic has no spread to judge by when each seed gives the same difference.
        return Estimate(interval if spread else "none", low, high, "none", np.nan, np.nan)
    a, b = correct_a / images, correct_b / images
    return Estimate(
        interval=interval,
        low=low,
        high=high,
        test="paired t",
        p_value=float(stats.ttest_rel(a, b).pvalue),
        equivalence_p=float(ttost_paired(a, b, -margin, margin)[0]),
    )


def confounding(a: Outcome, b: Outcome) -> str:
    """Which factors differ, when more than one does: `framework and model differ`, or empty."""
    differ = [name for name in ("framework", "model", "weights") if _differ(a, b, name)]
    # Fine-tuning needs its own schedule: settings that come with the weights are no extra factor.
    if "weights" not in differ and a.settings != b.settings:
        differ.append("training settings")
    return f"{wording.listed(differ)} differ" if len(differ) > 1 else ""


def _differ(a: Outcome, b: Outcome, name: str) -> bool:
    return getattr(a, name) != getattr(b, name)


def _adjust(rows: list[dict[str, Any]], source: str, target: str) -> None:
    """Holm's adjustment over all pairs that were tested; the others stay empty."""
    values = np.array([row[source] for row in rows], dtype=float)
    tested = ~np.isnan(values)
    adjusted = np.full(len(rows), np.nan)
    if tested.any():
        adjusted[tested] = multipletests(values[tested], method="holm")[1]
    for row, value in zip(rows, adjusted, strict=True):
        row[target] = float(value)


def _outcome(row: dict[str, Any]) -> str:
    """One word for programs: a, b, equivalent, none, undecided or not compared."""
    if row["collapsed"]:
        return "not compared"
    if 1 < row["seeds"] < SEEDS_FOR_A_CLAIM:
        return "undecided"
    if row["p_holm"] < SIGNIFICANCE:
        return "a" if row["difference"] > 0 else "b"
    if row["equivalence_p_holm"] < SIGNIFICANCE:
        return "equivalent"
    return "none"


def _verdict(row: dict[str, Any], margin: float) -> str:
    verdict = {
        "not compared": _not_compared,
        "undecided": _undecided,
        "a": _winner,
        "b": _winner,
        "equivalent": _equivalent,
        "none": _no_difference,
    }[row["outcome"]](row, margin)
    if row["confounded"] and row["outcome"] != "not compared":
        consequence = (
            "the cause cannot be named"
            if row["outcome"] in ("a", "b")
            else "one effect may hide another"
        )
        verdict += f"; {row['confounded']}, so {consequence}"
    return verdict


def _not_compared(row: dict[str, Any], margin: float) -> str:
    return f"not compared as a method: {row['collapsed']}"


def _undecided(row: dict[str, Any], margin: float) -> str:
    return (
        "two seeds cannot support a claim about methods: "
        f"{row['run_a']} minus {row['run_b']} is {_measured(row)}"
    )


def _winner(row: dict[str, Any], margin: float) -> str:
    sign = 1 if row["outcome"] == "a" else -1
    better, worse = (row["run_a"], row["run_b"])[::sign]
    low, high = sorted((sign * row["difference_low"], sign * row["difference_high"]))
    small = row["equivalence_p_holm"] < SIGNIFICANCE
    return (
        f"{better} is more accurate than {worse} by "
        f"{wording.points(sign * row['difference'])} points "
        f"(95 % interval {wording.points(low)} to {wording.points(high)}; "
        f"{wording.p_value(row['p_holm'])} after Holm)"
        + (f", less than the margin of {wording.margin(margin)}" if small else "")
    )


def _equivalent(row: dict[str, Any], margin: float) -> str:
    return (
        f"equivalent within {wording.margin(margin)}: {row['run_a']} minus {row['run_b']} is "
        f"{_measured(row)}; equivalence {wording.p_value(row['equivalence_p_holm'])} after Holm"
    )


def _no_difference(row: dict[str, Any], margin: float) -> str:
    why = (
        f"{wording.p_value(row['p_holm'])} after Holm; not shown to be equivalent either"
        if not np.isnan(row["p_holm"])
        else "the same in each seed, so there is no spread to test by"
    )
    return f"no difference shown: {row['run_a']} minus {row['run_b']} is {_measured(row)}; {why}"


def _measured(row: dict[str, Any]) -> str:
    text = f"{wording.points(row['difference'])} points"
    if np.isnan(row["difference_low"]):
        return text
    low, high = wording.points(row["difference_low"]), wording.points(row["difference_high"])
    return f"{text} (95 % interval {low} to {high})"
