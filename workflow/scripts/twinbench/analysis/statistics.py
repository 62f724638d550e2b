"""The difference of two methods' accuracies, its interval and its tests, for any number of seeds.

docs/statistics.md explains the procedure, benchmarks/false_winners.py simulates what it gets wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

SIGNIFICANCE = 0.05
POWER = 0.8
_MOST_SEEDS = 200


@dataclass(frozen=True)
class Spread:
    """How much trainings that differ in their seed alone are known to differ, from elsewhere.

    `std` is the standard deviation of their accuracies on endless test images, a fraction;
    `degrees_of_freedom` says how much this counts: as much as that many differences seen in the study.
    """

    std: float
    degrees_of_freedom: float


@dataclass(frozen=True)
class Estimate:
    """The mean difference of two methods as a fraction, and how far it may be from the truth.

    `training_variance` is that of one seed's difference by the luck of training, with what the choice of
    test images adds anew with each seed; `image_variance` is that of the mean by the choice of test
    images, which more seeds do not lower.
    """

    difference: float
    training_variance: float
    image_variance: float
    seeds: int
    prior_degrees_of_freedom: float

    @property
    def standard_error(self) -> float:
        return self._standard_error(self.seeds)

    @property
    def degrees_of_freedom(self) -> float:
        return self.prior_degrees_of_freedom + self.seeds - 1

    def interval(self, confidence: float = 1 - SIGNIFICANCE) -> tuple[float, float]:
        """The interval for new trainings and new test images."""
        half = stats.t.ppf((1 + confidence) / 2, self.degrees_of_freedom) * self.standard_error
        return self.difference - float(half), self.difference + float(half)

    def p_value(self) -> float:
        """Two-sided, of "the methods are equally accurate"."""
        score = abs(self.difference) / self.standard_error
        return float(2 * stats.t.sf(score, self.degrees_of_freedom))

    def equivalence_p(self, margin: float) -> float:
        """Of "the methods differ by `margin` or more": two one-sided tests (Schuirmann 1987,
        doi:10.1007/BF01068419)."""
        score = (margin - abs(self.difference)) / self.standard_error
        return float(stats.t.sf(score, self.degrees_of_freedom))

    def same_direction(self) -> float:
        """The probability that a new pair of trainings, on these images, has the same one ahead."""
        error = np.sqrt(self.training_variance * (1 + 1 / self.seeds))
        return float(stats.t.cdf(abs(self.difference) / error, self.degrees_of_freedom))

    def seeds_to_settle(self, margin: float) -> int | None:
        """How many seeds in all would settle, with a probability of at least `POWER`, either way: a
        winner if the methods differ by `margin`, equivalence if they do not differ at all.

        None where more seeds do not help, since the test images are too few.
        """
        for seeds in range(self.seeds, _MOST_SEEDS + 1):
            freedom = self.prior_degrees_of_freedom + seeds - 1
            score = margin / self._standard_error(seeds)
            winner = stats.nct.sf(stats.t.ppf(1 - SIGNIFICANCE / 2, freedom), freedom, score)
            equivalent = (
                2 * stats.t.cdf(score - stats.t.ppf(1 - SIGNIFICANCE, freedom), freedom) - 1
            )
            if min(winner, equivalent) >= POWER:
                return seeds
        return None

    def _standard_error(self, seeds: int) -> float:
        return float(np.sqrt(self.training_variance / seeds + self.image_variance))


def moderated(differences: np.ndarray, spread: Spread, trainings: int = 2) -> Estimate:
    """Compare methods by a moderated t: what is known of the spread steadies what few seeds show.

    `differences` is (seeds, images): for each test image whether a is right minus whether b is right,
    or a difference of such differences, with `trainings` in each; of one training, whether it is right,
    for its accuracy. The variance between seeds is
    squeezed as in Smyth 2004, "Linear models and empirical Bayes methods for assessing differential
    expression", doi:10.2202/1544-6115.1027, towards that of `spread` and the choice of test images, and
    is never below what that choice alone makes.
    """
    seeds, images = differences.shape
    sampling = float(differences.var(axis=1, dtype=float).mean()) / images
    image_variance = _image_variance(differences) if seeds > 1 else 0.0
    sampling = max(0.0, sampling - image_variance)
    expected = sampling + trainings * spread.std**2
    by_seed = differences.mean(axis=1, dtype=float)
    squares = float(np.square(by_seed - by_seed.mean()).sum())
    known = spread.degrees_of_freedom
    variance = max((known * expected + squares) / (known + seeds - 1), sampling)
    return Estimate(float(by_seed.mean()), variance, image_variance, seeds, known)


def _image_variance(differences: np.ndarray) -> float:
    """The variance of the mean difference by the choice of test images: that between images, less what
    the luck of training, over these seeds, adds to it."""
    seeds, images = differences.shape
    between = differences.mean(axis=0, dtype=float).var(ddof=1)
    within = differences.var(axis=0, ddof=1, dtype=float).mean() / seeds
    return max(0.0, float(between - within) / images)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment over all p values that are numbers; NaN stays NaN."""
    values = np.array(p_values, dtype=float)
    tested = ~np.isnan(values)
    if tested.any():
        values[tested] = multipletests(values[tested], method="holm")[1]
    return values.tolist()


# --- Two trained models ------------------------------------------------------------------------


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The two-sided exact McNemar test's p value, from the images that only one model gets right.

    It compares two trained models, not methods: of the luck of training it knows nothing.
    """
    return float(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)


def score_interval(only_a: int, only_b: int, images: int) -> tuple[float, float]:
    """The 95 % interval of two trained models' difference: where Tango's score is within 1.96."""
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
