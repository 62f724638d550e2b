"""The metrics of every trained model, by one evaluator for all frameworks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax

from twinbench.analysis import results, tables
from twinbench.analysis.reading import Predictions
from twinbench.analysis.results import TrainedModel
from twinbench.analysis.spread import known_spread
from twinbench.analysis.statistics import QUANTILE, moderated
from twinbench.errors import ANEW, InputError

CALIBRATION_BINS = 15

# The columns of metrics.csv. Accuracies, calibration gaps and errors are fractions, losses in nats.
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
    "brier_score": float,
    "calibration_gap": float,
    "calibration_gap_low": float,
    "calibration_gap_high": float,
    "expected_calibration_error": float,
    "calibration_error_by_chance": float,
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
    return {
        "test_images": images,
        "test_accuracy": correct / images,
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": macro_f1(predictions),
        # A collapsed run may hold logits that are NaN: right and wrong can still be counted.
        **(_of_probabilities(predictions) if predictions.finite else {}),
    }


def _of_probabilities(predictions: Predictions) -> dict[str, float]:
    gap, low, high = calibration_gap(predictions)
    return {
        "test_loss": cross_entropy(predictions),
        "brier_score": brier_score(predictions),
        "calibration_gap": gap,
        "calibration_gap_low": low,
        "calibration_gap_high": high,
        "expected_calibration_error": expected_calibration_error(predictions),
        "calibration_error_by_chance": calibration_error_by_chance(predictions),
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
    squared, share = QUANTILE**2, correct / images
    centre = (share + squared / (2 * images)) / (1 + squared / images)
    half = np.sqrt(share * (1 - share) / images + squared / (4 * images**2))
    half *= QUANTILE / (1 + squared / images)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def cross_entropy(predictions: Predictions) -> float:
    """The mean cross-entropy of the logits with the labels, in nats."""
    logarithms = log_softmax(predictions.logits.astype(np.float64), axis=1)
    return float(-logarithms[np.arange(len(predictions.labels)), predictions.labels].mean())


def macro_f1(predictions: Predictions) -> float:
    """The mean of F1 over the classes that occur among labels or predictions."""
    labels, predicted = predictions.labels, predictions.predicted
    classes = len(predictions.class_names)
    right = np.bincount(labels[labels == predicted], minlength=classes)
    occurrences = np.bincount(labels, minlength=classes) + np.bincount(predicted, minlength=classes)
    occurs = occurrences > 0
    return float((2 * right[occurs] / occurrences[occurs]).mean())


def brier_score(predictions: Predictions) -> float:
    """The mean squared distance of the probabilities from the truth, 0 to 2 (Brier 1950,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2)."""
    errors = _probabilities(predictions)
    errors[np.arange(len(errors)), predictions.labels] -= 1
    return float(np.square(errors).sum(axis=1).mean())


def calibration_gap(predictions: Predictions) -> tuple[float, float, float]:
    """Accuracy minus mean confidence, with its 95 % interval over the test images.

    Positive: the network is more often right than it says.
    """
    gaps = predictions.correct - _probabilities(predictions).max(axis=1)
    half = QUANTILE * gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else np.nan
    return float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half)


def expected_calibration_error(predictions: Predictions) -> float:
    """The mean gap between confidence and accuracy over equal-width bins, weighted by their size.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, with bins (a, b].
    """
    confidence = _probabilities(predictions).max(axis=1)
    gaps = _by_bin(confidence, predictions.correct - confidence)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_error_by_chance(predictions: Predictions) -> float:
    """The expected calibration error of a perfectly calibrated network on so many images.

    Then the gap of a bin has mean 0 and the variance of as many coin flips: approximately normal, with a
    mean magnitude of sqrt(2 / pi) of its standard deviation.
    """
    confidence = _probabilities(predictions).max(axis=1)
    variances = _by_bin(confidence, confidence * (1 - confidence))
    return float(np.sqrt(2 / np.pi * variances).sum() / len(confidence))


def reliability(predictions: Predictions) -> np.ndarray:
    """What a reliability diagram shows of one trained model, (3, bins): by bins of confidence how many
    predictions, how many of them right, and the sum of their confidences. Logits must be finite."""
    confidence = _probabilities(predictions).max(axis=1)
    values = (np.ones_like(confidence), predictions.correct, confidence)
    return np.stack([_by_bin(confidence, value) for value in values])


def _by_bin(confidence: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The sum of the values in each bin of confidence."""
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    return np.bincount(bins, weights=values, minlength=CALIBRATION_BINS)


def _probabilities(predictions: Predictions) -> np.ndarray:
    return softmax(predictions.logits.astype(np.float64), axis=1)


@dataclass(frozen=True)
class Accuracy:
    """The mean test accuracy of a run and its 95 % interval, as fractions."""

    mean: float
    low: float
    high: float


def accuracies(models: list[TrainedModel], correct: dict[str, np.ndarray]) -> dict[str, Accuracy]:
    """The accuracy of each run; `correct` is for each run bool (seeds, images).

    The interval of one seed is Wilson's, of that trained model over the test images. That of several
    is for new trainings and new test images, by a moderated t.
    """
    found = {}
    for run, right in correct.items():
        if len(right) == 1:
            interval = wilson_interval(int(right.sum()), right.size)
        else:
            spread = known_spread([m.provenance for m in models if m.run == run])
            low, high = moderated(right.astype(np.int8), spread, trainings=1).interval()
            interval = max(low, 0.0), min(high, 1.0)
        found[run] = Accuracy(float(right.mean()), *interval)
    return found
