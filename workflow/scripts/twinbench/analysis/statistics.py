"""Intervals and tests of the difference of two accuracies, paired by test image or by seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from twinbench.analysis import wording

SIGNIFICANCE = 0.05
SEEDS_FOR_A_CLAIM = 3


@dataclass(frozen=True)
class Estimate:
    """The 95 % interval of a difference of accuracies, as fractions, and the tests of it.

    `interval` and `test` name the methods. `p_value` tests "no difference", `equivalence_p` "a
    difference of the margin or more". NaN where the data allow no interval or test.
    """

    interval: str
    low: float
    high: float
    test: str
    p_value: float
    equivalence_p: float


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The two-sided exact McNemar test's p value, from the images that only one model gets right."""
    return float(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)


def score_statistic(only_a: int, only_b: int, images: int, difference: float) -> float:
    """How far paired proportions are from an assumed `difference`, as a standard normal score.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17:891-908; at 0 it is McNemar's statistic. Unlike the
    t statistic it stays valid when the two models hardly ever disagree.
    """
    linear = (2 * images - only_a + only_b) * difference - only_a - only_b
    constant = -only_b * difference * (1 - difference)
    only_b_fraction = (np.sqrt(linear**2 - 8 * images * constant) - linear) / (4 * images)
    variance = images * (2 * only_b_fraction + difference * (1 - difference))
    excess = only_a - only_b - images * difference
    return float(excess / np.sqrt(variance)) if variance > 0 else 0.0


def score_interval(only_a: int, only_b: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a difference of paired proportions: where Tango's score is within 1.96."""
    quantile = stats.norm.ppf(1 - SIGNIFICANCE / 2)
    observed = (only_a - only_b) / images

    def limit(sign: int) -> float:
        if observed == sign:
            return float(sign)
        root = optimize.brentq(
            lambda value: score_statistic(only_a, only_b, images, value) + sign * quantile,
            observed,
            sign * (1 - 1e-9),
        )
        return float(root)

    return limit(-1), limit(1)


def paired_images(only_a: int, only_b: int, images: int, margin: float) -> Estimate:
    """Compare two trained models over the same test images.

    `only_a` and `only_b` count the images that only one of them gets right, of `images`.
    """
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
    """Compare two methods over the same seeds.

    `correct_a` and `correct_b` are int (seeds,): test images that each model gets right, of `images`.
    """
    seeds = len(correct_a)
    # Counts are compared, not fractions: those of equal counts can differ by rounding.
    spread = bool(np.ptp(correct_a - correct_b))
    if not spread:
        return Estimate("none", np.nan, np.nan, "none", np.nan, np.nan)
    a, b = correct_a / images, correct_b / images
    differences = a - b
    half = stats.t.ppf(1 - SIGNIFICANCE / 2, seeds - 1) * stats.sem(differences)
    tested = seeds >= SEEDS_FOR_A_CLAIM
    return Estimate(
        interval=f"t over seeds ({wording.plural(seeds - 1, 'degree')} of freedom)",
        low=float(differences.mean() - half),
        high=float(differences.mean() + half),
        test="paired t" if tested else "none",
        p_value=float(stats.ttest_rel(a, b).pvalue) if tested else np.nan,
        equivalence_p=float(ttost_paired(a, b, -margin, margin)[0]) if tested else np.nan,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment over all p values that are numbers; NaN stays NaN."""
    values = np.array(p_values, dtype=float)
    tested = ~np.isnan(values)
    if tested.any():
        values[tested] = multipletests(values[tested], method="holm")[1]
    return values.tolist()
