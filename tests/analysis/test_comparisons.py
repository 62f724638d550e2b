"""Verdicts: never a winner when the difference is within the noise, always what weakens them."""

from dataclasses import replace

import numpy as np
import pytest
from analysis.fake_study import FOUR, SETTINGS, FakeRun, FakeStudy
from twinbench.analysis import comparisons
from twinbench.analysis.comparisons import Comparison

A, B = FakeRun(noise=1), FakeRun("tensorflow", noise=2)
SHORTER = {**SETTINGS, "epochs": 4}


def compare(folder, runs, seeds=(0,), images=1000) -> list[Comparison]:
    return comparisons.compare(FakeStudy(folder, runs, seeds, images).models, 0.01)


def compare_two(folder, a, b, seeds=(0,), images=1000) -> Comparison:
    (pair,) = compare(folder, {"a": a, "b": b}, seeds, images)
    return pair


@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 1, 2)])
def test_identical_runs_never_have_a_winner(tmp_path, seeds):
    pair = compare_two(tmp_path, A, replace(A), seeds, images=500)
    assert pair.difference == 0 and pair.winner is None


def test_noise_of_equal_methods_seldom_makes_a_winner(tmp_path):
    runs = {f"run-{number}": replace(A, noise=number) for number in range(5)}
    assert {pair.outcome for pair in compare(tmp_path, runs, images=500)} == {"none"}


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_big_gap_has_a_winner_in_either_order(tmp_path, seeds, order):
    runs = {"a": A, "b": replace(B, accuracy=0.5)}
    (pair,) = compare(tmp_path, {name: runs[name] for name in order}, seeds)
    assert pair.winner == "a" and pair.p_holm < 0.05
    low, high = sorted(100 * abs(limit) for limit in (pair.difference_low, pair.difference_high))
    assert pair.verdict.startswith("a ") and " b " in pair.verdict
    for number in (
        f"{100 * abs(pair.difference):.2f} percentage points",
        f"{low:.2f} to {high:.2f}",
    ):
        assert number in pair.verdict


def test_identical_predictions_on_many_images_are_equivalent(tmp_path):
    pair = compare_two(tmp_path, A, replace(A), images=3000)
    assert pair.outcome == "equivalent" and "1 percentage point:" in pair.verdict


@pytest.mark.parametrize(
    ("seeds", "level", "test"),
    [(1, "models", "McNemar exact"), (2, "methods", "none"), (3, "methods", "paired t")],
)
def test_the_level_of_the_claim_follows_the_seeds(tmp_path, seeds, level, test):
    pair = compare_two(tmp_path, A, replace(B, accuracy=0.3), range(seeds))
    assert (pair.level, pair.test, pair.seeds) == (level, test, seeds)
    assert pair.outcome == ("undecided" if seeds == 2 else "a")


def test_a_collapsed_run_is_not_compared_and_leaves_the_others_alone(tmp_path):
    runs = {"a": A, "stuck": replace(B, collapsed=True), "c": replace(B, accuracy=0.5)}
    pairs = {(pair.run_a, pair.run_b): pair for pair in compare(tmp_path, runs)}
    other = pairs.pop(("a", "c"))
    assert other.p_holm == other.p_value
    for pair in pairs.values():
        assert pair.outcome == "not compared" and "stuck" in pair.verdict
        assert np.isnan([pair.p_value, pair.p_holm, pair.equivalence_p_holm]).all()


@pytest.mark.parametrize(
    ("other", "factors"),
    [
        (B, []),
        (replace(A, weights="imagenet", settings=SHORTER), []),
        (replace(A, model="vgg16"), []),
        (replace(B, model="vgg16", accuracy=0.4), ["framework", "model"]),
        (replace(B, settings=SHORTER), ["framework", "training settings"]),
    ],
)
def test_a_pair_that_differs_in_two_factors_is_confounded(tmp_path, other, factors):
    pair = compare_two(tmp_path, A, other)
    assert bool(pair.confounded) == bool(factors)
    assert all(factor in pair.confounded for factor in factors)
    assert pair.confounded in pair.verdict


GPU = {"device": "NVIDIA A100", "precision": "float32"}
HALF = {"device": "cpu", "precision": "bfloat16"}


@pytest.mark.parametrize(
    ("other", "hardware", "factors", "confounded"),
    [
        (B, {}, "framework", ""),
        (A, GPU, "device", ""),
        (A, HALF, "precision", ""),
        (A, GPU | {"precision": "bfloat16"}, "device, precision", "device and precision differ"),
        (B, GPU, "framework, device", "framework and device differ"),
        (B, HALF, "framework, precision", "framework and precision differ"),
        (replace(A, weights="imagenet"), GPU, "weights, device", "weights and device differ"),
    ],
)
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_device_and_precision_are_factors(tmp_path, other, hardware, factors, confounded, seeds):
    fake = FakeStudy(tmp_path, {"a": A, "b": other}, seeds, images=200)
    fake.edit_provenance("b", seeds[-1], **hardware)  # one of several seeds is enough
    (pair,) = comparisons.compare(fake.models, 0.01)
    assert (pair.factors, pair.confounded) == (factors, confounded)
    assert pair.hardware == [name for name in ("device", "precision") if name in factors]
    assert confounded in pair.verdict


def test_a_device_or_precision_that_was_asked_for_in_other_words_is_no_factor(tmp_path):
    other = replace(A, settings={**SETTINGS, "precision": "float32", "device": "cpu"})
    assert compare_two(tmp_path, A, other).factors == ""


def test_holms_adjustment_is_over_all_pairs(tmp_path):
    pairs = sorted(compare(tmp_path, FOUR, images=400), key=lambda pair: pair.p_value)
    assert len(pairs) == 6 and pairs[0].p_holm == pytest.approx(6 * pairs[0].p_value)


def test_the_seeds_in_which_mcnemars_test_finds_a_difference_are_counted(tmp_path):
    assert compare_two(tmp_path, A, replace(A), range(4), 100).mcnemar_seeds == 0
    assert compare_two(tmp_path, A, replace(B, accuracy=0.2), range(4), 100).mcnemar_seeds == 4


@pytest.mark.parametrize("runs", [{"alone": A}, {"001": A, "NA": B, "1e5": replace(A, noise=3)}])
def test_comparisons_are_read_back_as_they_were_written(tmp_path, runs):
    pairs = compare(tmp_path, runs, images=50)
    comparisons.write(pairs, tmp_path / "comparisons.csv")
    # As text, in which NaN equals itself.
    assert str(comparisons.read(tmp_path / "comparisons.csv")) == str(pairs)
