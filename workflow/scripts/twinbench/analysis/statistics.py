"""The difference of two methods' accuracies, its interval and its tests, for any number of seeds.

docs/statistics.md explains the procedure, benchmarks/false_winners.py simulates what it gets wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special  # scipy.stats takes a second to import

SIGNIFICANCE = 0.05
QUANTILE = float(special.ndtri(1 - SIGNIFICANCE / 2))  # of the standard normal: 1.96
POWER = 0.8
MOST_SEEDS = 100
# How many discordant images to add. Then no discordant image at all makes the interval of Tango's and
# Wilson's scores, z^2 / n.
_UNSEEN = QUANTILE**2


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
        return float(self._standard_error(np.array(self.seeds)))

    @property
    def degrees_of_freedom(self) -> float:
        return self.prior_degrees_of_freedom + self.seeds - 1

    def interval(self, confidence: float = 1 - SIGNIFICANCE) -> tuple[float, float]:
        """The interval for new trainings and new test images."""
        quantile = float(special.stdtrit(self.degrees_of_freedom, (1 + confidence) / 2))
        half = quantile * self.standard_error
        return self.difference - half, self.difference + half

    def p_value(self) -> float:
        """Two-sided, of "the methods are equally accurate"."""
        score = abs(self.difference) / self.standard_error
        return float(2 * special.stdtr(self.degrees_of_freedom, -score))

    def equivalence_p(self, margin: float) -> float:
        """Of "the methods differ by `margin` or more": two one-sided tests (Schuirmann 1987,
        doi:10.1007/BF01068419)."""
        score = (margin - abs(self.difference)) / self.standard_error
        return float(special.stdtr(self.degrees_of_freedom, -score))

    def same_direction(self) -> float:
        """The probability that a new pair of trainings, on these images, has the same one ahead."""
        error = np.sqrt(self.training_variance * (1 + 1 / self.seeds))
        return float(special.stdtr(self.degrees_of_freedom, abs(self.difference) / error))

    def seeds_to_settle(self, margin: float, contrasts: int = 1) -> int | None:
        """How many seeds in all would settle, with a probability of at least `POWER`, which method is
        the more accurate one, or that they differ by less than `margin`, where a question has so many
        `contrasts`.

        The probability is that of what more seeds would show, after what these have shown. One seed does
        not say how much of the luck is that of the test images, which more seeds do not lower: from one,
        the answer is the least that is needed. None where the images are too few, or more than 100 seeds
        are needed.
        """
        seeds = np.arange(self.seeds + 1, MOST_SEEDS + 1)
        error = self._standard_error(seeds)
        two_sided, one_sided = _quantiles(self.prior_degrees_of_freedom, self.seeds, contrasts)
        winner, equivalent = two_sided * error, margin - one_sided * error
        # The mean of more seeds lies about that of these; in between it settles nothing.
        scale = np.sqrt(self.training_variance * (1 / self.seeds - 1 / seeds))
        equivalent = np.clip(equivalent, 0, winner)
        limits = np.stack([-winner, -equivalent, equivalent, winner])
        below = special.stdtr(self.degrees_of_freedom, (limits - self.difference) / scale)
        still_open = below[1] - below[0] + below[3] - below[2]
        enough = seeds[still_open <= 1 - POWER]
        return int(enough[0]) if enough.size else None

    def _standard_error(self, seeds: np.ndarray) -> np.ndarray:
        """Of the mean difference over so many seeds."""
        return np.sqrt(self.training_variance / seeds + self.image_variance)


@cache
def _quantiles(known: float, seeds: int, contrasts: int) -> tuple[np.ndarray, np.ndarray]:
    """Those of t that a winner and equivalence need, for each number of seeds above `seeds`."""
    freedom = known + np.arange(seeds + 1, MOST_SEEDS + 1) - 1
    two_sided, one_sided = (1 - SIGNIFICANCE / contrasts / sides for sides in (2, 1))
    return special.stdtrit(freedom, two_sided), special.stdtrit(freedom, one_sided)


def moderated(differences: np.ndarray, spread: Spread, trainings: int = 2) -> Estimate:
    """Compare methods by a moderated t: what is known of the spread steadies what few seeds show.

    `differences` is (seeds, images): for each test image whether a is right minus whether b is right. It
    may also be a difference of such differences, of four `trainings` for each seed, or whether one
    training is right, for its accuracy. The variance between seeds is squeezed as in Smyth 2004, "Linear
    models and empirical Bayes methods for assessing differential expression",
    doi:10.2202/1544-6115.1027, towards what `spread` and the choice of test images would make, and is
    never below what that choice alone makes. Some discordant images are added that these ones do not
    show, since few test images without any are no proof that there are none.
    """
    seeds, images = differences.shape
    by_seed = differences.mean(axis=1, dtype=float)
    of_images = float(_mean_square(differences) - np.square(by_seed).mean()) / images
    seen = _image_variance(differences) if seeds > 1 else 0.0
    sampling = max(0.0, of_images - seen)
    expected = sampling + trainings * spread.std**2
    squares = float(np.square(by_seed - by_seed.mean()).sum())
    known = spread.degrees_of_freedom
    variance = max((known * expected + squares) / (known + seeds - 1), sampling)
    return Estimate(float(by_seed.mean()), variance, seen + _UNSEEN / images**2, seeds, known)


def _image_variance(differences: np.ndarray) -> float:
    """The variance of the mean difference by the choice of test images: that between images, less what
    the luck of training, over these seeds, adds to it."""
    seeds, images = differences.shape
    by_image = differences.mean(axis=0, dtype=float)
    between = by_image.var(ddof=1)
    within = (_mean_square(differences) - np.square(by_image).mean()) / (seeds - 1)
    return max(0.0, float(between - within) / images)


def _mean_square(values: np.ndarray) -> float:
    return float(np.square(values).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of one family after Holm's adjustment, in the same order (Holm 1979, "A simple
    sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6:65-70)."""
    values = np.array(p_values, dtype=float)
    order = values.argsort()
    left = np.arange(len(values), 0, -1)  # how many hypotheses are not rejected yet
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * left).clip(max=1)
    return adjusted.tolist()


# --- Two trained models ------------------------------------------------------------------------


def score_interval(only_a: int, only_b: int, images: int) -> tuple[float, float]:
    """The 95 % interval of two trained models' difference: where Tango's score is within 1.96.

    It is for other test images alone: of the luck of training it knows nothing.
    """
    observed = (only_a - only_b) / images

    def limit(sign: int) -> float:
        if observed == sign:
            return float(sign)
        root = optimize.brentq(
            lambda value: score_statistic(only_a, only_b, images, value) + sign * QUANTILE,
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
