"""The evaluator against numbers worked out by hand, and against faulty run folders."""

import json

import numpy as np
import pytest
from fake_study import FOUR, FakeRun, write_predictions
from twinbench.analysis import metrics, study
from twinbench.analysis.study import Predictions
from twinbench.errors import InputError


def predictions(labels, logits) -> Predictions:
    labels, logits = np.array(labels), np.array(logits, dtype=np.float32)
    names = tuple(str(number) for number in range(logits.shape[1]))
    return Predictions(np.arange(len(labels)), labels, logits, names)


def with_confidence(confidence: float, right: list[bool]) -> Predictions:
    """Two classes, all predictions class 0 with the given probability."""
    logit = np.log(confidence / (1 - confidence))
    return predictions([0 if hit else 1 for hit in right], [[logit, 0.0]] * len(right))


def test_wilson_interval_of_81_in_263_is_the_published_one():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_cross_entropy_of_constant_logits_is_the_logarithm_of_the_classes():
    assert metrics.cross_entropy(predictions([0, 3], [[7.0] * 10] * 2)) == pytest.approx(np.log(10))


def test_calibration_error_is_the_gap_of_a_single_bin():
    # Confidence 0.8, three of four right: |0.75 - 0.8|.
    found = metrics.expected_calibration_error(with_confidence(0.8, [True, True, True, False]))
    assert found == pytest.approx(0.05)


def test_calibration_error_does_not_let_bins_cancel():
    sure = with_confidence(0.9, [False, True])  # 0.5 right, 0.9 sure: too sure by 0.4
    unsure = with_confidence(0.55, [True, True])  # 1.0 right, 0.55 sure: too shy by 0.45
    both = predictions([*sure.labels, *unsure.labels], np.concatenate([sure.logits, unsure.logits]))
    assert metrics.expected_calibration_error(both) == pytest.approx((0.4 + 0.45) / 2)


def test_macro_f1_counts_a_class_that_is_never_predicted_as_zero():
    # Class 0: precision 1/2, recall 1, F1 2/3; class 1: 0.
    assert metrics.macro_f1(predictions([0, 1], [[1, 0], [1, 0]])) == pytest.approx(1 / 3)


def test_confusion_has_a_row_a_true_class():
    matrix = metrics.confusion(predictions([0, 0, 1], [[1, 0], [0, 1], [0, 1]]))
    assert matrix.tolist() == [[1, 1], [0, 1]]


def test_a_row_for_each_run_and_seed_in_the_order_of_the_settings(make_study):
    fake = make_study(seeds=(5, 2))
    table = metrics.evaluate(fake.directory, fake.settings)
    assert list(zip(table["run"], table["seed"], strict=True)) == [
        (run, seed) for run in FOUR for seed in (5, 2)
    ]
    assert table["weights"].tolist()[::2] == ["none", "proxy", "none", "proxy"]


def test_metrics_come_from_predictions_and_training_figures_from_the_history(make_study):
    fake = make_study()
    folder = fake.folder("pytorch-scratch")
    row = metrics.evaluate(fake.directory, fake.settings).iloc[0]
    found = study.read_predictions(folder / "predictions.parquet")
    history = study.read_history(folder / "history.csv")
    chosen = json.loads((folder / "provenance.json").read_text())["chosen_epoch"]
    assert row["test_accuracy"] == np.mean(found.logits.argmax(axis=1) == found.labels)
    assert row["accuracy_low"] < row["test_accuracy"] < row["accuracy_high"]
    assert row["validation_accuracy"] == history["validation_accuracy"][chosen - 1]
    assert row["train_accuracy"] == history["train_accuracy"].iloc[-1]
    assert row["seconds_per_epoch"] == history["seconds"].median()


def test_the_order_of_the_prediction_rows_does_not_matter(make_study):
    fake = make_study()
    before = metrics.evaluate(fake.directory, fake.settings)
    path = fake.folder("tensorflow-scratch") / "predictions.parquet"
    found = study.read_predictions(path)
    write_predictions(path, found.sample_ids[::-1], found.labels[::-1], found.logits[::-1])
    assert metrics.evaluate(fake.directory, fake.settings).equals(before)


def test_a_collapsed_run_may_hold_logits_that_are_no_numbers(make_study):
    fake = make_study({"broken": FakeRun(collapsed=True)})
    path = fake.folder("broken") / "predictions.parquet"
    found = study.read_predictions(path)
    write_predictions(path, found.sample_ids, found.labels, np.full_like(found.logits, np.nan))
    row = metrics.evaluate(fake.directory, fake.settings).iloc[0]
    assert row["status"] == "collapsed"
    assert row["test_accuracy"] == pytest.approx(0.1)
    assert np.isnan(row["test_loss"]) and np.isnan(row["expected_calibration_error"])


def set_nan(sample_ids, labels, logits):
    logits[3, 2] = np.nan
    return sample_ids, labels, logits


def drop_last(sample_ids, labels, logits):
    return sample_ids[:-1], labels[:-1], logits[:-1]


def repeat_sample(sample_ids, labels, logits):
    return np.where(sample_ids == 7, 6, sample_ids), labels, logits


def other_labels(sample_ids, labels, logits):
    return sample_ids, (labels + 1) % 10, logits


def narrow(sample_ids, labels, logits):
    return sample_ids, labels, logits[:, :9]


def ragged(sample_ids, labels, logits):
    return sample_ids, labels, [*logits[:-1], logits[-1][:4]]


def wrong_label(sample_ids, labels, logits):
    return sample_ids, np.where(sample_ids == 4, 10, labels), logits


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (set_nan, "sample 3 has a logit that is not a finite number"),
        (drop_last, "samples or labels are not those of"),
        (other_labels, "samples or labels are not those of"),
        (repeat_sample, "sample_id 6 occurs 2 times"),
        (narrow, "row 0 has 9 logits, expected 10"),
        (ragged, "row 999 has 4 logits, expected 10"),
        (wrong_label, "sample 4 has label 10"),
    ],
)
def test_faulty_predictions_are_named_in_one_line(make_study, damage, message):
    fake = make_study()
    path = fake.folder("tensorflow-scratch") / "predictions.parquet"
    found = study.read_predictions(path)
    logits = found.logits.copy()
    write_predictions(path, *damage(found.sample_ids, found.labels, logits))
    with pytest.raises(InputError, match=message) as error:
        metrics.evaluate(fake.directory, fake.settings)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["predictions.parquet", "history.csv", "provenance.json"])
@pytest.mark.parametrize("content", [None, b"", b"{]"])
def test_a_missing_or_broken_file_is_named_in_one_line(make_study, name, content):
    fake = make_study()
    path = fake.folder("pytorch-scratch") / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        metrics.evaluate(fake.directory, fake.settings)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_key_of_the_provenance_is_named(make_study):
    fake = make_study()
    path = fake.folder("pytorch-scratch") / "provenance.json"
    noted = json.loads(path.read_text())
    del noted["parameters"]
    path.write_text(json.dumps(noted))
    with pytest.raises(InputError, match="key parameters is missing"):
        metrics.evaluate(fake.directory, fake.settings)


def test_no_runs_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no runs"):
        study.jobs(tmp_path, {"runs": {}, "seeds": [0]})
