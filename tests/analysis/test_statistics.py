"""Tests and intervals against known answers, and verdicts that never name a winner in the noise."""

from dataclasses import replace

import numpy as np
import pytest
from fake_study import FOUR, FakeRun
from scipy import optimize, stats
from twinbench.analysis import statistics

A, B = FakeRun(predictions_seed=1), FakeRun(framework="tensorflow", predictions_seed=2)


def compare(fake, margin=0.01):
    return statistics.compare(fake.directory, fake.settings, margin)


def only_row(fake, margin=0.01):
    table = compare(fake, margin)
    assert len(table) == 1
    return table.iloc[0]


def test_mcnemar_exact_is_the_two_sided_binomial_test():
    # 1 and 9 discordant samples: 2 * (1 + 10) / 2**10.
    assert statistics.mcnemar_exact(1, 9) == pytest.approx(22 / 1024)
    assert statistics.mcnemar_exact(0, 0) == 1


def test_score_at_no_difference_is_mcnemars_statistic():
    assert statistics.score_statistic(30, 10, 500, 0.0) == pytest.approx(20 / np.sqrt(40))


@pytest.mark.parametrize("difference", [-0.3, -0.02, 0.01, 0.4])
def test_score_uses_the_likeliest_table_with_that_difference(difference):
    only_a, only_b, images = 12, 5, 80

    def improbability(only_b_share):
        only_a_share = only_b_share + difference
        rest = 1 - only_a_share - only_b_share
        return -(
            only_a * np.log(only_a_share)
            + only_b * np.log(only_b_share)
            + (images - only_a - only_b) * np.log(rest)
        )

    bounds = (max(0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9)
    share = optimize.minimize_scalar(
        improbability, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    ).x
    variance = (2 * share + difference - difference**2) / images
    expected = ((only_a - only_b) / images - difference) / np.sqrt(variance)
    found = statistics.score_statistic(only_a, only_b, images, difference)
    assert found == pytest.approx(expected, rel=1e-4)


def test_score_interval_of_no_disagreement_is_z2_over_n_plus_z2():
    limit = stats.norm.ppf(0.975) ** 2 / (100 + stats.norm.ppf(0.975) ** 2)
    assert statistics.score_interval(0, 0, 100) == pytest.approx((-limit, limit))


def test_score_interval_turns_with_the_runs():
    low, high = statistics.score_interval(7, 2, 50)
    assert statistics.score_interval(2, 7, 50) == pytest.approx((-high, -low))


@pytest.mark.parametrize("table", [(50, 0, 50), (0, 50, 50), (0, 1, 1), (1, 0, 10000)])
def test_score_interval_stays_within_the_possible(table):
    low, high = statistics.score_interval(*table)
    assert -1 <= low <= (table[0] - table[1]) / table[2] <= high <= 1


def test_score_interval_covers_the_truth_in_95_of_100_draws():
    random = np.random.default_rng(0)
    draws = random.multinomial(300, [0.12, 0.08, 0.8], size=500)
    inside = [
        low <= 0.04 <= high
        for low, high in (statistics.score_interval(int(a), int(b), 300) for a, b, _ in draws)
    ]
    assert 0.92 < np.mean(inside) < 0.98


def test_few_disagreements_do_not_pass_for_equivalence():
    # One sample of 300: a t test over 0 and 1 would claim equivalence within 1 point at p = 0.02.
    assert statistics.paired_samples(1, 0, 300, 0.01).equivalence_p > 0.05
    assert statistics.paired_samples(1, 0, 10_000, 0.01).equivalence_p < 0.001


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


@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 1, 2)])
def test_identical_runs_never_have_a_winner(make_study, seeds):
    row = only_row(make_study({"one": A, "other": replace(A)}, seeds, images=500))
    assert row["difference"] == 0
    assert row["outcome"] not in ("a", "b")
    assert "more accurate" not in row["verdict"]


def test_noise_of_equal_methods_seldom_makes_a_winner(make_study):
    runs = {f"run-{number}": replace(A, predictions_seed=number) for number in range(5)}
    table = compare(make_study(runs, images=500))
    assert table["outcome"].isin(["a", "b"]).sum() == 0
    assert table["verdict"].str.startswith("no difference shown").all()


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_big_gap_has_a_winner_in_either_order(make_study, seeds):
    worse = replace(B, accuracy=0.5)
    for runs in ({"good": A, "bad": worse}, {"bad": worse, "good": A}):
        row = only_row(make_study(runs, seeds))
        assert row["verdict"].startswith("good is more accurate than bad by ")
        assert row["p_holm"] < 0.05


def test_identical_predictions_on_many_images_are_equivalent(make_study):
    row = only_row(make_study({"one": A, "other": replace(A)}, images=3000))
    assert row["outcome"] == "equivalent"
    assert row["verdict"].startswith("equivalent within 1 point: one minus other is 0.00 points")


@pytest.mark.parametrize(
    ("seeds", "level", "test"),
    [
        ((0,), "models", "McNemar exact"),
        ((0, 1), "methods", "none"),
        ((0, 1, 2), "methods", "paired t"),
    ],
)
def test_the_level_of_the_claim_follows_the_seeds(make_study, seeds, level, test):
    row = only_row(make_study({"a": A, "b": B}, seeds))
    assert (row["level"], row["test"], row["seeds"]) == (level, test, len(seeds))


def test_two_seeds_support_no_claim_even_for_a_big_gap(make_study):
    row = only_row(make_study({"a": A, "b": replace(B, accuracy=0.3)}, (0, 1)))
    assert row["outcome"] == "undecided"
    assert row["verdict"].startswith("two seeds cannot support a claim about methods")


def test_a_collapsed_run_is_not_compared_and_leaves_the_others_alone(make_study):
    runs = {"a": A, "stuck": replace(B, collapsed=True), "c": replace(B, accuracy=0.5)}
    table = compare(make_study(runs))
    stuck = table[(table["run_a"] == "stuck") | (table["run_b"] == "stuck")]
    expected = "not compared as a method: stuck collapsed (stuck at chance)"
    assert stuck["verdict"].tolist() == [expected, expected]
    assert stuck["p_holm"].isna().all()
    other = table.drop(stuck.index).iloc[0]
    assert other["p_holm"] == other["p_value"]


def test_holms_adjustment_is_stepwise_over_all_pairs(make_study):
    table = compare(make_study(FOUR, images=400)).sort_values("p_value")
    stepwise = np.maximum.accumulate(table["p_value"] * np.arange(6, 0, -1))
    assert table["p_holm"].to_numpy() == pytest.approx(np.minimum(stepwise, 1).to_numpy())
    assert table["p_value"].nunique() == 6


def test_a_pair_that_differs_in_two_factors_names_no_cause(make_study):
    row = only_row(make_study({"a": A, "b": replace(B, model="vgg16", accuracy=0.4)}))
    assert row["confounded"] == "framework and model differ"
    assert row["verdict"].endswith("framework and model differ, so the cause cannot be named")


def test_twins_with_other_settings_are_confounded(make_study):
    row = only_row(make_study({"a": A, "b": replace(B, settings={"epochs": 4})}))
    assert row["confounded"] == "framework and training settings differ"


@pytest.mark.parametrize(
    "other", [B, replace(A, weights="imagenet", settings={"epochs": 4}), replace(A, model="vgg16")]
)
def test_a_pair_that_differs_in_one_factor_is_not_confounded(make_study, other):
    assert only_row(make_study({"a": A, "b": other}))["confounded"] == ""


def test_many_seeds_take_no_more_than_their_number(make_study):
    row = only_row(make_study({"a": A, "b": B}, range(40), images=100))
    assert row["seeds"] == 40 and 0 <= row["mcnemar_seeds"] <= 40


def test_a_single_run_gives_an_empty_table_with_its_header(make_study):
    table = compare(make_study({"alone": A}))
    assert table.empty and list(table.columns) == statistics.COLUMNS
