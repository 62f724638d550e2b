"""Intervals and tests against known answers and other implementations."""

import numpy as np
import pytest
from scipy import optimize, stats
from twinbench.analysis import statistics


def test_mcnemar_exact_is_the_two_sided_binomial_test():
    # 1 and 9 discordant images: 2 * (1 + 10) / 2**10.
    assert statistics.mcnemar_exact(1, 9) == pytest.approx(22 / 1024)
    assert statistics.mcnemar_exact(0, 0) == 1


@pytest.mark.parametrize("difference", [-0.3, 0.0, 0.01, 0.4])
def test_the_score_uses_the_likeliest_table_with_that_difference(difference):
    """Tango's closed form against a numerical search for the maximum of the likelihood."""
    only_a, only_b, images = 12, 5, 80

    def improbability(b):
        a = b + difference
        rest = (images - only_a - only_b) * np.log(1 - a - b)
        return -(only_a * np.log(a) + only_b * np.log(b) + rest)

    bounds = (max(0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9)
    fraction = optimize.minimize_scalar(
        improbability, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    ).x
    variance = (2 * fraction + difference - difference**2) / images
    expected = ((only_a - only_b) / images - difference) / np.sqrt(variance)
    found = statistics.score_statistic(only_a, only_b, images, difference)
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_score_interval_of_no_disagreement_is_z2_over_n_plus_z2():
    limit = stats.norm.ppf(0.975) ** 2 / (100 + stats.norm.ppf(0.975) ** 2)
    assert statistics.score_interval(0, 0, 100) == pytest.approx((-limit, limit))


@pytest.mark.parametrize("table", [(50, 0, 50), (0, 50, 50), (0, 1, 1), (1, 0, 10000)])
def test_the_score_interval_stays_within_the_possible(table):
    low, high = statistics.score_interval(*table)
    assert -1 <= low <= (table[0] - table[1]) / table[2] <= high <= 1


def test_the_score_interval_covers_the_truth_in_95_of_100_samples():
    random = np.random.default_rng(0)
    samples = random.multinomial(300, [0.12, 0.08, 0.8], size=500)
    inside = [
        low <= 0.04 <= high
        for low, high in (statistics.score_interval(int(a), int(b), 300) for a, b, _ in samples)
    ]
    assert 0.92 < np.mean(inside) < 0.98


def test_few_disagreements_do_not_pass_for_equivalence():
    # One image of 300: a t test over 0 and 1 would claim equivalence within 0.01 at p = 0.02.
    assert statistics.paired_images(1, 0, 300, 0.01).equivalence_p > 0.05
    assert statistics.paired_images(1, 0, 10_000, 0.01).equivalence_p < 0.001


def test_seeds_are_compared_by_the_paired_t_test():
    correct_a, correct_b = np.array([700, 710, 690]), np.array([690, 705, 688])
    found = statistics.paired_seeds(correct_a, correct_b, 1000, 0.01)
    differences = np.array([0.010, 0.005, 0.002])
    error = differences.std(ddof=1) / np.sqrt(3)
    assert found.p_value == pytest.approx(2 * stats.t.sf(differences.mean() / error, 2))
    assert found.high == pytest.approx(differences.mean() + 4.302653 * error)
    assert found.equivalence_p == pytest.approx(stats.t.cdf((differences.mean() - 0.01) / error, 2))


def test_the_same_gap_in_each_seed_is_no_certainty():
    # Rounding of the fractions must not pass for a spread: 0.1 + 0.2 is not 0.3.
    found = statistics.paired_seeds(np.array([1, 2, 3]), np.array([2, 3, 4]), 10, 0.01)
    assert np.isnan(found.p_value) and found.test == "none"


def test_holms_adjustment_is_stepwise_over_the_tests_that_were_made():
    # By hand: 0.01 * 3, then the largest so far of 0.02 * 2 and 0.04 * 1.
    assert statistics.holm([0.04, np.nan, 0.01, 0.02]) == pytest.approx(
        [0.04, np.nan, 0.03, 0.04], nan_ok=True
    )
