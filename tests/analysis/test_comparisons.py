"""Verdicts: no winner when the difference is within the noise, and tests of planned contrasts alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from analysis.fake_study import FOUR, SETTINGS, FakeRun, FakeStudy
from twinbench.analysis import comparisons
from twinbench.analysis.comparisons import Comparison
from twinbench.analysis.statistics import Estimate
from twinbench.networks.architectures import ARCHITECTURES

A, B = FakeRun(noise=1), FakeRun("tensorflow", noise=2)
SHORTER = {**SETTINGS, "epochs": 6}
HEAD = {"epochs": 0, "learning_rate": 0.001, "initialisation": "auto"}
TUNED = {**SETTINGS, "learning_rate": 0.0001, "head": {"epochs": 1}, "frozen": ["conv1"]}
NATIVE = {**SETTINGS, "protocol": "native"}
TESTS = ("p_value", "p_holm", "equivalence_p", "equivalence_p_holm", "same_direction")


def compare(
    folder, runs: dict[str, FakeRun], seeds: Sequence[int] = (0,), images: int = 1000
) -> list[Comparison]:
    return comparisons.compare(FakeStudy(folder, runs, seeds, images).models, 0.01)


def compare_two(
    folder, a: FakeRun, b: FakeRun, seeds: Sequence[int] = (0,), images: int = 1000
) -> Comparison:
    (pair,) = compare(folder, {"a": a, "b": b}, seeds, images)
    return pair


@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 1, 2)])
def test_identical_predictions_have_no_winner(tmp_path, seeds):
    pair = compare_two(tmp_path, A, replace(B, noise=A.noise), seeds, images=500)
    assert pair.difference == 0 and pair.winner is None


def test_noise_of_equal_methods_makes_no_winner(tmp_path):
    runs = {f"run-{number}": replace(A, noise=number) for number in range(5)}
    assert {pair.verdict for pair in compare(tmp_path, runs, images=500)} == {"open"}


@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_big_gap_has_a_winner_in_either_order(tmp_path, seeds, order):
    runs = {"a": A, "b": replace(B, accuracy=0.5)}
    (pair,) = compare(tmp_path, {name: runs[name] for name in order}, seeds)
    assert pair.winner == "a" and pair.p_holm < 0.05
    assert (pair.difference > 0) == (order == "ab")
    assert pair.difference_low * pair.difference_high > 0
    assert pair.same_direction > 0.95 and np.isnan(pair.seeds_to_settle)


def test_one_seed_is_never_equivalent_and_many_seeds_are(tmp_path):
    one = compare_two(tmp_path / "1", A, replace(B, noise=A.noise), images=10_000)
    many = compare_two(tmp_path / "8", A, replace(B, noise=A.noise), range(8))
    assert one.verdict == "open" and one.seeds_to_settle > 1
    assert many.verdict == "equivalent"


def test_one_seed_has_the_interval_of_the_two_trained_models_too(tmp_path):
    one = compare_two(tmp_path / "1", A, B)
    assert one.difference_low < one.trained_low < one.difference < one.trained_high
    two = compare_two(tmp_path / "2", A, B, (0, 1))
    assert np.isnan([two.trained_low, two.trained_high]).all()


@pytest.mark.parametrize("accuracy", [0.66, 0.72, 0.76])
@pytest.mark.parametrize("runs", [4, 8])
def test_an_interval_excludes_0_exactly_if_its_run_wins(tmp_path, runs, accuracy):
    """In families of 6 and 28 contrasts."""
    made = {
        f"run-{number}": replace(A, noise=number, accuracy=accuracy if number % 3 else 0.7)
        for number in range(runs)
    }
    pairs = compare(tmp_path, made, range(2), images=2000)
    for pair in pairs:
        excluded = pair.difference_low > 0 or pair.difference_high < 0
        assert excluded == (pair.p_holm < 0.05) == (pair.winner is not None)
        assert 0.95 <= pair.confidence <= 1 - 0.05 / len(pairs)


def test_an_interval_includes_0_where_holms_adjustment_has_ended_at_1():
    """Of 30 contrasts with p = 0.04 none is a winner: 0.04 * 30 is above 1."""
    family = [Estimate(0.02, (0.02 / 2.9) ** 2, 0.0, 1, 4)] * 30
    assert 0.04 < family[0].p_value() < 0.05
    for outcome in comparisons._tested(family, 0.01):
        low, high = family[0].interval(outcome.confidence)
        assert outcome.p_holm == 1 and low < 0 < high


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_collapsed_run_is_not_tested_and_leaves_the_others_alone(tmp_path, seeds):
    runs = {"a": A, "stuck": replace(A, collapsed=True), "c": replace(A, noise=3, accuracy=0.5)}
    pairs = {(pair.run_a, pair.run_b): pair for pair in compare(tmp_path, runs, seeds)}
    other = pairs.pop(("a", "c"))
    assert other.winner == "a" and other.p_holm == other.p_value
    for pair in pairs.values():
        assert pair.verdict == "collapsed" and pair.winner is None
        assert np.isnan([getattr(pair, name) for name in TESTS]).all()


@pytest.mark.parametrize(
    ("other", "factors"),
    [
        (replace(A, noise=3), ""),
        (B, "framework"),
        (replace(A, weights="imagenet", settings=TUNED), "weights"),
        (replace(A, weights="imagenet", settings=SHORTER), "weights, training settings"),
        (replace(A, model="vgg16"), "network"),
        (replace(A, settings=NATIVE), "protocol"),
        (replace(A, settings=SHORTER), "training settings"),
        (replace(B, model="vgg16"), "framework, network"),
        (replace(B, settings=NATIVE), "framework, protocol"),
        (replace(B, settings=SHORTER), "framework, training settings"),
        (replace(B, weights="imagenet", model="vgg16"), "weights, framework, network"),
    ],
)
def test_a_contrast_is_planned_if_one_thing_differs_at_most(tmp_path, other, factors):
    pair = compare_two(tmp_path, A, replace(other, accuracy=0.4))
    planned = "," not in factors
    assert (pair.factors, pair.planned) == (factors, planned)
    assert pair.question == (factors or "repetition")
    assert pair.winner == ("a" if planned else None)


def test_a_confounded_pair_has_a_difference_and_an_interval_but_no_test(tmp_path):
    pair = compare_two(tmp_path, A, replace(B, model="vgg16", accuracy=0.4), (0, 1))
    assert 0 < pair.difference_low < pair.difference < pair.difference_high
    assert pair.confidence == 0.95 and pair.winner is None
    assert np.isnan([getattr(pair, name) for name in (*TESTS, "seeds_to_settle")]).all()


GPU = {"device": "NVIDIA A100", "precision": "float32"}
HALF = {"device": "cpu", "precision": "bfloat16"}


@pytest.mark.parametrize(
    ("other", "hardware", "factors"),
    [
        (B, {}, "framework"),
        (A, GPU, "device"),
        (A, HALF, "precision"),
        (A, GPU | {"precision": "bfloat16"}, "precision, device"),
        (B, GPU, "framework, device"),
        (B, HALF, "framework, precision"),
        (replace(A, weights="imagenet"), GPU, "weights, device"),
    ],
)
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_device_and_precision_are_factors(tmp_path, other, hardware, factors, seeds):
    fake = FakeStudy(tmp_path, {"a": A, "b": other}, seeds, images=200)
    fake.edit_provenance("b", seeds[-1], **hardware)  # one of several seeds is enough
    (pair,) = comparisons.compare(fake.models, 0.01)
    assert pair.factors == factors
    assert (pair.verdict == "confounded") == ("," in factors)


def test_a_device_or_precision_that_was_asked_for_in_other_words_is_no_factor(tmp_path):
    other = replace(A, settings={**SETTINGS, "precision": "float32", "device": "cpu"})
    assert compare_two(tmp_path, A, other).factors == ""


def test_holms_adjustment_is_within_each_question_alone(tmp_path):
    # Two frameworks by two weights: two contrasts each of framework and weights, two confounded pairs.
    runs = {
        f"{framework}-{weights}": FakeRun(framework, weights=weights, noise=noise, accuracy=0.6)
        for noise, (framework, weights) in enumerate(
            (framework, weights)
            for framework in ("pytorch", "tensorflow")
            for weights in ("none", "imagenet")
        )
    }
    pairs = compare(tmp_path, runs, images=400)
    for question in ("framework", "weights"):
        smaller, larger = sorted(
            (pair for pair in pairs if pair.question == question), key=lambda pair: pair.p_value
        )
        assert smaller.p_holm == pytest.approx(min(1, 2 * smaller.p_value))
        assert larger.p_holm == pytest.approx(max(smaller.p_holm, larger.p_value))
    assert [pair.verdict for pair in pairs].count("confounded") == 2


def test_short_trainings_need_a_larger_gap(tmp_path):
    few = {**SETTINGS, "epochs": 3}
    long = compare_two(tmp_path / "long", A, B)
    short = compare_two(tmp_path / "short", replace(A, settings=few), replace(B, settings=few))
    assert (long.assumed_spread, short.assumed_spread) == (0.005, 0.014)
    assert short.standard_error**2 - long.standard_error**2 == pytest.approx(
        2 * (0.014**2 - 0.005**2)
    )


@pytest.mark.parametrize("runs", [{"alone": A}, {"001": A, "NA": B, "1e5": replace(A, noise=3)}])
def test_comparisons_are_read_back_as_they_were_written(tmp_path, runs):
    pairs = compare(tmp_path, runs, images=50)
    comparisons.write(pairs, tmp_path / "comparisons.csv")
    # As text, in which NaN equals itself.
    assert str(comparisons.read(tmp_path / "comparisons.csv", list(runs))) == str(pairs)


def test_the_default_study_has_one_planned_contrast_and_five_confounded_pairs(tmp_path):
    planned = [pair for pair in compare(tmp_path, FOUR, images=200) if pair.planned]
    assert [(pair.run_a, pair.run_b) for pair in planned] == [
        ("pytorch-scratch", "tensorflow-scratch")
    ]


OWN = {"source": "file", "file": "model.pt", "sha256": "ab" * 32}


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        ({"sha256": "cd" * 32}, "weights"),  # two files of one name
        ({"file": "moved.pt"}, ""),
    ],
)
def test_own_weights_are_told_apart_by_their_content(tmp_path, change, factor):
    fake = FakeStudy(tmp_path, {"a": A, "b": replace(A, noise=3)})
    runs = {}
    for name, weights in (("a", OWN), ("b", OWN | change)):
        fake.edit_provenance(name, weights=weights)
        own = {"weights": "file", "weights_file": weights["file"]}
        runs[name] = fake.settings.runs[name].model_copy(update=own)
    fake.settings = fake.settings.model_copy(update={"runs": runs})
    (pair,) = comparisons.compare(fake.models, 0.01)
    assert pair.factors == factor and pair.planned


@pytest.mark.parametrize(
    ("multipliers", "factors"),
    [
        ({"fc": 0.25}, "network"),  # of which the other network has no layer
        ({"fc": 0.25, "conv": 0.5}, "network, training settings"),
        ({"dense": 0.25}, "network, training settings"),
    ],
)
def test_multipliers_of_layers_of_one_network_alone_are_part_of_it(tmp_path, multipliers, factors):
    own = {**SETTINGS, "learning_rate_multipliers": multipliers}
    other = {**SETTINGS, "learning_rate_multipliers": {}}
    a, b = replace(A, settings=own), replace(A, model="vgg16", settings=other, noise=3)
    assert compare_two(tmp_path, a, b).factors == factors


@pytest.mark.parametrize(
    "settings",
    [
        {"head": {"epochs": 0, "learning_rate": 0.5, "initialisation": "random"}},
        {"learning_rate_multipliers": {}},
        {"progressive_resizing": {"epochs": 0, "input_size": 48}},
        {"reduce_on_plateau": {"patience": None, "factor": 0.1}},
        {"input_size": ARCHITECTURES["alexnet"].input_size},
    ],
)
def test_settings_without_effect_are_no_difference(tmp_path, settings):
    full = {**SETTINGS, "input_size": None, "head": HEAD}
    full |= {"progressive_resizing": {"epochs": 0, "input_size": 32}}
    full |= {"reduce_on_plateau": {"patience": None, "factor": 0.5}}
    runs = replace(A, settings=full), replace(A, noise=3, settings=full | settings)
    assert compare_two(tmp_path, *runs).question == "repetition"


def test_the_settings_that_differ_are_named(tmp_path):
    other = replace(A, settings={**SHORTER, "head": {"epochs": 1, "learning_rate": 0.5}})
    models = FakeStudy(tmp_path, {"a": A, "b": other}).models
    found = comparisons.differing_settings(*(model.provenance for model in models))
    assert found == ["epochs", "head.learning_rate", "head.epochs"]


def test_a_multiplier_of_one_run_alone_is_named_once(tmp_path):
    a, b = (
        replace(A, settings={**SETTINGS, "learning_rate_multipliers": each})
        for each in ({}, {"conv": 0.1})
    )
    models = FakeStudy(tmp_path, {"a": a, "b": b}).models
    found = comparisons.differing_settings(*(model.provenance for model in models))
    assert found == ["learning_rate_multipliers.conv"]


@pytest.mark.parametrize(
    ("own", "other", "planned"),
    [(None, None, True), (128, 128, True), (128, 32, False), (None, 128, True), (128, None, False)],
)
def test_the_size_of_images_is_a_factor_unless_it_is_the_networks_own(
    tmp_path, own, other, planned
):
    """AlexNet has 128 pixels by itself, VGG16 32."""
    runs = (
        replace(A, model=model, settings=SETTINGS | {"input_size": size}, noise=size or 3)
        for model, size in (("alexnet", own), ("vgg16", other))
    )
    assert compare_two(tmp_path, *runs).planned == planned
