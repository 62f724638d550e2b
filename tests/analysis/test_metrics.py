"""The evaluator against numbers worked out by hand."""

import numpy as np
import pytest
from analysis.fake_study import FOUR, FakeRun, FakeStudy, write_predictions
from twinbench.analysis import metrics
from twinbench.analysis.reading import Predictions, read_history, read_predictions


def predictions(labels, logits) -> Predictions:
    logits = np.array(logits, dtype=np.float32)
    names = tuple(str(number) for number in range(logits.shape[1]))
    return Predictions(np.arange(len(labels)), np.array(labels), logits, names)


def test_wilson_interval_of_81_in_263_is_the_published_one():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_cross_entropy_of_constant_logits_is_the_logarithm_of_the_classes():
    assert metrics.cross_entropy(predictions([0, 3], [[7.0] * 10] * 2)) == pytest.approx(np.log(10))


def test_calibration_error_does_not_let_bins_cancel():
    # All predict class 0: twice with confidence 0.9, one right, and twice with 0.55, both right.
    logits = [[np.log(confidence / (1 - confidence)), 0] for confidence in (0.9, 0.9, 0.55, 0.55)]
    found = metrics.expected_calibration_error(predictions([1, 0, 0, 0], logits))
    assert found == pytest.approx((0.4 + 0.45) / 2)


def test_macro_f1_counts_a_class_that_is_never_predicted_as_zero():
    # Class 0: precision 1/2, recall 1, F1 2/3; class 1: 0.
    assert metrics.macro_f1(predictions([0, 1], [[1, 0], [1, 0]])) == pytest.approx(1 / 3)


def test_confusion_has_true_classes_in_rows_and_is_summed_over_the_seeds(tmp_path):
    matrix = metrics.confusion(predictions([0, 0, 1], [[1, 0], [0, 1], [0, 1]]))
    assert matrix.tolist() == [[1, 1], [0, 1]]
    _, matrices = metrics.confusions(FakeStudy(tmp_path, seeds=(0, 1), images=100).models)
    assert {run: matrix.sum() for run, matrix in matrices.items()} == dict.fromkeys(FOUR, 200)


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


def test_the_interval_of_accuracy_follows_the_number_of_seeds(tmp_path):
    rows = metrics.evaluate(FakeStudy(tmp_path, {"a": FakeRun()}, range(3), 200).models)
    mean, low, high = metrics.accuracy_interval(rows)
    half = 4.302653 * rows["test_accuracy"].std(ddof=1) / np.sqrt(3)  # t, 2 degrees of freedom
    assert (low, high) == pytest.approx((mean - half, mean + half), rel=1e-6)
    assert np.isnan(metrics.accuracy_interval(rows[:2])[1:]).all()
    assert metrics.accuracy_interval(rows[:1])[1] == rows["accuracy_low"].iloc[0]
