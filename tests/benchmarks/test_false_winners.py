"""False winners among equal methods, in a small version of the simulation whose tables the docs show."""

import false_winners
import numpy as np
import pytest
from false_winners import DEFAULT_TWINS, FACTORIAL, NETWORKS, SEEDS, TWINS
from scipy import stats
from twinbench.analysis.spread import SHORT_FROM_SCRATCH, measured_spread

STUDIES = 60


def most(rate: float, studies: int) -> float:
    """More than this would be seen in one of 1,000 repetitions if the rate were as given."""
    return stats.binom.ppf(0.999, studies, rate)


def winners(sigma: float, provenances: list, studies: int) -> dict[int, int]:
    random = np.random.default_rng(0)
    found = dict.fromkeys(SEEDS, 0)
    for _ in range(studies):
        correct = false_winners.trainings(random, sigma, (0,) * len(provenances))
        for seeds in SEEDS:
            pairs = false_winners.verdicts(correct, provenances, seeds)
            found[seeds] += false_winners.has_winner(pairs)
    return found


@pytest.mark.parametrize(
    ("sigma", "provenances"),
    [
        (0.1, TWINS),
        (0.5, TWINS),
        (0.27, DEFAULT_TWINS),
        (0.5, FACTORIAL),
        (100 * SHORT_FROM_SCRATCH.std, NETWORKS),
    ],
    ids=["little spread", "as assumed", "as measured", "several contrasts", "short, no twins"],
)
def test_equal_methods_have_a_winner_in_5_of_100_reports_at_most(sigma, provenances):
    assert max(winners(sigma, provenances, STUDIES).values()) <= most(0.05, STUDIES)


@pytest.mark.slow
@pytest.mark.parametrize("provenances", [TWINS, FACTORIAL])
@pytest.mark.parametrize("sigma", [0.25, 0.5])
def test_equal_methods_have_a_winner_in_5_of_100_of_many_reports_at_most(sigma, provenances):
    assert max(winners(sigma, provenances, 500).values()) <= most(0.05, 500)


def test_the_simulation_shows_what_a_test_of_trained_models_gets_wrong():
    """It has false winners to show: else it would show nothing about the verdicts."""
    random = np.random.default_rng(1)
    found = 0
    for _ in range(STUDIES):
        (pair,) = false_winners.verdicts(false_winners.trainings(random, 0.5, (0, 0)), TWINS, 1)
        found += pair.trained_low > 0 or pair.trained_high < 0
    assert found > 0.2 * STUDIES


def test_a_gap_beyond_the_spread_is_found():
    counts = false_winners.different_methods(0.25, 2, 20, TWINS)
    assert counts["a", 5] == 20 and counts["b", 5] == 0


def test_trainings_have_the_spread_and_the_disagreement_that_they_are_said_to_have():
    correct = false_winners.trainings(np.random.default_rng(0), 0.5, (0, 0), seeds=100)
    _, low, high = measured_spread(correct[0])
    assert low < 0.005 < high
    assert correct.mean() == pytest.approx(0.75, abs=0.01)
    assert (correct[0] != correct[1]).mean() == pytest.approx(0.15, abs=0.01)
