"""The metrics of every trained model, by one evaluator for all frameworks."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix, f1_score
from statsmodels.stats.proportion import proportion_confint

from twinbench.analysis import results, tables
from twinbench.analysis.reading import Predictions
from twinbench.analysis.results import TrainedModel
from twinbench.errors import ANEW, InputError

CALIBRATION_BINS = 15

# The columns of metrics.csv. Accuracies and the calibration error are fractions, losses in nats.
COLUMNS: dict[str, type] = {
    "run": str,
    "framework": str,
    "model": str,
    "weights": str,
    "seed": int,
    "test_images": int,
    "test_accuracy": float,
    "accuracy_low": float,
    "accuracy_high": float,
    "test_loss": float,
    "macro_f1": float,
    "expected_calibration_error": float,
    "epochs": int,
    "selected_epoch": int,
    "validation_accuracy": float,
    "train_loss": float,
    "train_accuracy": float,
    "seconds_per_epoch": float,
    "total_seconds": float,
    "images_per_second": float,
    "parameters": int,
    "device": str,
    "status": str,
}


def evaluate(models: list[TrainedModel]) -> pd.DataFrame:
    """The metrics of a study: one row per run and seed, with the columns of `COLUMNS`."""
    rows = [
        _facts(model) | _test_metrics(predictions) | _training_metrics(model)
        for model, predictions in results.predictions(models)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read(path: Path, models: list[TrainedModel]) -> pd.DataFrame:
    """The metrics of the models, as they were written. Raises `InputError` if they are of others."""
    table = tables.read(path, COLUMNS)
    rows = list(table[["run", "seed"]].itertuples(index=False, name=None))
    if rows != [(model.run, model.seed) for model in models]:
        raise InputError(f"{path}: it does not have each run and seed once; {ANEW}")
    return table


def _facts(model: TrainedModel) -> dict[str, Any]:
    provenance = model.provenance
    return {
        "run": model.run,
        "framework": provenance.framework,
        "model": provenance.model,
        "weights": provenance.weights.source,
        "seed": model.seed,
        "epochs": provenance.epochs_run,
        "selected_epoch": provenance.selected_epoch,
        "total_seconds": provenance.total_seconds,
        "parameters": provenance.parameters,
        "device": provenance.device,
        "status": provenance.status,
    }


def _test_metrics(predictions: Predictions) -> dict[str, Any]:
    correct, images = int(predictions.correct.sum()), len(predictions.labels)
    low, high = wilson_interval(correct, images)
    # A collapsed run may hold logits that are NaN: right and wrong can still be counted.
    finite = predictions.finite
    return {
        "test_images": images,
        "test_accuracy": correct / images,
        "accuracy_low": low,
        "accuracy_high": high,
        "test_loss": cross_entropy(predictions) if finite else np.nan,
        "macro_f1": macro_f1(predictions),
        "expected_calibration_error": expected_calibration_error(predictions) if finite else np.nan,
    }


def _training_metrics(model: TrainedModel) -> dict[str, float]:
    history = model.history()
    selected = history["epoch"] == model.provenance.selected_epoch
    last = history.iloc[-1]
    return {
        "validation_accuracy": history.loc[selected, "validation_accuracy"].mean(),
        "train_loss": last["train_loss"],
        "train_accuracy": last["train_accuracy"],
        "seconds_per_epoch": history["seconds"].median(),
        "images_per_second": history["images_per_second"].median(),
    }


def wilson_interval(correct: int, images: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927, doi:10.2307/2276774)."""
    low, high = proportion_confint(correct, images, method="wilson")
    return float(low), float(high)


def cross_entropy(predictions: Predictions) -> float:
    """The mean cross-entropy of the logits with the labels, in nats."""
    logarithms = log_softmax(predictions.logits.astype(np.float64), axis=1)
    return float(-logarithms[np.arange(len(predictions.labels)), predictions.labels].mean())


def macro_f1(predictions: Predictions) -> float:
    """The mean over all classes of F1; a class that is never predicted counts as 0."""
    classes = np.arange(len(predictions.class_names))
    return float(
        f1_score(
            predictions.labels,
            predictions.predicted,
            labels=classes,
            average="macro",
            zero_division=0,
        )
    )


def expected_calibration_error(predictions: Predictions) -> float:
    """The mean gap between confidence and accuracy over equal-width bins, weighted by their size.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, with bins (a, b].
    """
    probabilities = softmax(predictions.logits.astype(np.float64), axis=1)
    confidence = probabilities.max(axis=1)
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=predictions.correct - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def accuracy_interval(rows: pd.DataFrame) -> tuple[float, float, float]:
    """The mean test accuracy of a run's rows of the metrics and its 95 % interval, as fractions.

    One seed: Wilson's over the test images. Three and more: Student's t over the seeds. Two: none (NaN).
    """
    values = rows["test_accuracy"].to_numpy()
    mean = float(values.mean())
    if len(values) == 1:
        return mean, float(rows["accuracy_low"].iloc[0]), float(rows["accuracy_high"].iloc[0])
    if len(values) == 2:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def confusion(predictions: Predictions) -> np.ndarray:
    """Counts of test images, int64 (classes, classes): true classes in rows, predicted in columns."""
    classes = np.arange(len(predictions.class_names))
    return np.asarray(confusion_matrix(predictions.labels, predictions.predicted, labels=classes))


def confusions(models: list[TrainedModel]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The class names, and for each run its confusion matrix summed over the seeds."""
    matrices: dict[str, np.ndarray] = {}
    class_names: tuple[str, ...] = ()
    for model, predictions in results.predictions(models):
        class_names, counts = predictions.class_names, confusion(predictions)
        matrices[model.run] = matrices.get(model.run, np.zeros_like(counts)) + counts
    return class_names, matrices
