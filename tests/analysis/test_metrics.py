"""The evaluator against numbers worked out by hand."""

import numpy as np
import pytest
from analysis.fake_study import FOUR, FakeRun, FakeStudy, write_predictions
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, f1_score
from statsmodels.stats.proportion import proportion_confint
from twinbench.analysis import metrics, results
from twinbench.analysis.reading import Predictions, read_history, read_predictions
from twinbench.analysis.spread import PUBLISHED
from twinbench.analysis.statistics import moderated


def predictions(labels, logits) -> Predictions:
    logits = np.array(logits, dtype=np.float32)
    names = tuple(str(number) for number in range(logits.shape[1]))
    return Predictions(np.arange(len(labels)), np.array(labels), logits, names)


def test_wilson_interval_of_81_in_263_is_the_published_one():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("images", [1, 40, 1000])
def test_wilson_interval_is_that_of_another_implementation_and_stays_within_0_and_1(images):
    for correct in range(images + 1):
        low, high = metrics.wilson_interval(correct, images)
        assert 0 <= low < high <= 1
        expected = proportion_confint(correct, images, method="wilson")
        assert (low, high) == pytest.approx(expected, abs=1e-12)


def test_cross_entropy_of_constant_logits_is_the_logarithm_of_the_classes():
    assert metrics.cross_entropy(predictions([0, 3], [[7.0] * 10] * 2)) == pytest.approx(np.log(10))


def test_calibration_error_does_not_let_bins_cancel():
    # All predict class 0: twice with confidence 0.9, one right, and twice with 0.55, both right.
    logits = [[np.log(confidence / (1 - confidence)), 0] for confidence in (0.9, 0.9, 0.55, 0.55)]
    found = metrics.expected_calibration_error(predictions([1, 0, 0, 0], logits))
    assert found == pytest.approx((0.4 + 0.45) / 2)


def test_macro_f1_of_a_perfect_network_is_1_though_one_class_alone_occurs():
    assert metrics.macro_f1(predictions([3, 3], np.eye(10)[[3, 3]])) == 1


def test_macro_f1_counts_a_class_that_is_never_predicted_as_zero():
    # Class 0: precision 1/2, recall 1, F1 2/3; class 1: 0.
    assert metrics.macro_f1(predictions([0, 1], [[1, 0], [1, 0]])) == pytest.approx(1 / 3)


def test_macro_f1_is_that_of_another_implementation():
    random = np.random.default_rng(1)
    found = predictions(random.integers(0, 6, 300), random.normal(size=(300, 7)))
    found.labels[found.labels == 2] = 3  # a class without an image, but predicted
    expected = f1_score(found.labels, found.predicted, average="macro")
    assert metrics.macro_f1(found) == pytest.approx(expected)


def test_the_table_has_a_row_per_run_and_seed_in_the_order_of_the_settings(tmp_path):
    table = metrics.evaluate(FakeStudy(tmp_path, seeds=(5, 2)).models)
    found = list(zip(table["run"], table["seed"], strict=True))
    assert found == [(run, seed) for run in FOUR for seed in (5, 2)]
    assert table["weights"].tolist()[::2] == ["none", "synthetic", "none", "synthetic"]
    assert list(table.columns) == list(metrics.COLUMNS) and table.notna().all(axis=None)


def test_metrics_come_from_predictions_history_and_provenance(tmp_path):
    fake = FakeStudy(tmp_path)
    fake.edit_provenance("pytorch-scratch", selected_epoch=3)
    row = metrics.evaluate(fake.models).iloc[0]
    found = read_predictions(fake.folder("pytorch-scratch") / "predictions.parquet")
    history = read_history(fake.folder("pytorch-scratch") / "history.csv", 8)
    assert row["test_accuracy"] == np.mean(found.logits.argmax(axis=1) == found.labels)
    assert row["accuracy_low"] < row["test_accuracy"] < row["accuracy_high"]
    assert row["validation_accuracy"] == history["validation_accuracy"][2]
    assert row["train_accuracy"] == history["train_accuracy"].iloc[-1]
    assert row["seconds_per_epoch"] == history["seconds"].median()


def test_a_collapsed_run_may_hold_logits_that_are_nan(tmp_path):
    fake = FakeStudy(tmp_path, {"broken": FakeRun(collapsed=True)})
    path = fake.folder("broken") / "predictions.parquet"
    found = read_predictions(path)
    write_predictions(path, found.sample_ids, found.labels, np.full_like(found.logits, np.nan))
    row = metrics.evaluate(fake.models).iloc[0]
    assert row["status"] == "collapsed" and row["test_accuracy"] == pytest.approx(0.1)
    assert np.isnan(row["test_loss"]) and np.isnan(row["expected_calibration_error"])


def test_one_seeds_accuracy_has_wilsons_interval_and_severals_that_of_new_trainings(tmp_path):
    for seeds in (1, 2, 3):
        models = FakeStudy(tmp_path / str(seeds), {"a": FakeRun()}, range(seeds), 1000).models
        correct = results.correct_predictions(models)
        found = metrics.accuracies(models, correct)["a"]
        assert found.mean == correct["a"].mean()
        if seeds == 1:
            assert (found.low, found.high) == metrics.wilson_interval(correct["a"].sum(), 1000)
        else:
            estimate = moderated(correct["a"].astype(np.int8), PUBLISHED, trainings=1)
            assert (found.low, found.high) == estimate.interval()


@pytest.mark.parametrize("accuracy", [0, 1])
def test_an_accuracy_is_never_outside_of_0_to_1(tmp_path, accuracy):
    models = FakeStudy(tmp_path, {"a": FakeRun()}, range(2), 100).models
    correct = {"a": np.full((2, 100), bool(accuracy))}
    found = metrics.accuracies(models, correct)["a"]
    assert 0 <= found.low <= accuracy <= found.high <= 1 and found.low < found.high


# --- Probabilities ----------------------------------------------------------------------------


def confident(seed: int, images: int, classes: int, overconfidence: float = 1.0) -> Predictions:
    """Labels drawn from the probabilities that the logits have before `overconfidence` scales them."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 5, (images, classes))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    return predictions(labels, logits * overconfidence)


def test_the_brier_score_is_scikit_learns():
    found = confident(0, 200, 4)
    expected = brier_score_loss(found.labels, softmax(found.logits.astype(float), axis=1))
    assert metrics.brier_score(found) == pytest.approx(expected)


def test_the_brier_score_by_hand():
    # Probabilities 0.8 and 0.2, once right and once wrong: (0.04 + 0.04 + 0.64 + 0.64) / 2.
    logits = [[np.log(4), 0], [np.log(4), 0]]
    assert metrics.brier_score(predictions([0, 1], logits)) == pytest.approx(0.68)


@pytest.mark.parametrize(("factor", "sign"), [(0.5, 1), (1, 0), (2, -1)])
def test_the_calibration_gap_is_positive_for_too_little_confidence(factor, sign):
    gap, low, high = metrics.calibration_gap(confident(1, 20_000, 10, factor))
    assert low < gap < high and high - low == pytest.approx(0.012, abs=0.004)
    assert np.sign(low) == (sign or -1) and np.sign(high) == (sign or 1)


@pytest.mark.parametrize("images", [1000, 10_000])
def test_the_calibration_error_by_chance_is_that_of_a_calibrated_network(images):
    samples = [confident(seed, images, 10) for seed in range(30)]
    chance = np.mean([metrics.calibration_error_by_chance(each) for each in samples])
    measured = np.mean([metrics.expected_calibration_error(each) for each in samples])
    assert measured == pytest.approx(chance, rel=0.1)
    # At 79 % accuracy 0.9 percentage points on 10,000 images, 2.9 on 1,000.
    assert chance == pytest.approx(0.009 * (10_000 / images) ** 0.5, rel=0.15)


def test_reliabilities_of_seeds_add_up_to_that_of_all_images():
    whole = confident(3, 300, 5)
    halves = [
        Predictions(
            whole.sample_ids[part], whole.labels[part], whole.logits[part], whole.class_names
        )
        for part in (slice(0, 100), slice(100, None))
    ]
    added = metrics.reliability(halves[0]) + metrics.reliability(halves[1])
    assert added == pytest.approx(metrics.reliability(whole))
    assert list(added.sum(axis=1)[:2]) == [300, whole.correct.sum()]
