"""One evaluator for the predictions of every framework."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix, f1_score
from statsmodels.stats.proportion import proportion_confint

from twinbench.analysis import study
from twinbench.analysis.study import Job, Predictions

CALIBRATION_BINS = 15


def evaluate(directory: Path, settings: dict[str, Any]) -> pd.DataFrame:
    """The metrics of a study, a row a (run, seed), in the order of the settings.

    Fractions are 0-1, times in seconds, losses in nats. See `study.jobs` for the arguments.
    """
    return pd.DataFrame(
        [
            {**_identity(job), **_test_metrics(predictions), **_training_metrics(job)}
            for job, predictions in study.predictions(study.jobs(directory, settings))
        ]
    )


def _identity(job: Job) -> dict[str, Any]:
    return {
        "run": job.run,
        "framework": job.provenance["framework"],
        "model": job.provenance["model"],
        "weights": job.weights,
        "seed": job.seed,
    }


def _test_metrics(predictions: Predictions) -> dict[str, Any]:
    correct = int(predictions.correct.sum())
    low, high = wilson_interval(correct, len(predictions.labels))
    # A collapsed run may hold logits that are no numbers: right or wrong can still be counted.
    finite = predictions.finite
    return {
        "test_images": len(predictions.labels),
        "test_accuracy": correct / len(predictions.labels),
        "accuracy_low": low,
        "accuracy_high": high,
        "test_loss": cross_entropy(predictions) if finite else np.nan,
        "macro_f1": macro_f1(predictions),
        "expected_calibration_error": expected_calibration_error(predictions) if finite else np.nan,
    }


def _training_metrics(job: Job) -> dict[str, Any]:
    history = job.history()
    chosen = history.loc[history["epoch"] == job.provenance["chosen_epoch"], "validation_accuracy"]
    last = history.iloc[-1]
    return {
        "epochs": job.provenance["epochs_run"],
        "chosen_epoch": job.provenance["chosen_epoch"],
        "validation_accuracy": chosen.iloc[0] if len(chosen) else np.nan,
        "train_loss": last["train_loss"],
        "train_accuracy": last["train_accuracy"],
        "seconds_per_epoch": history["seconds"].median(),
        "total_seconds": job.provenance["total_seconds"],
        "images_per_second": history["images_per_second"].median(),
        "parameters": job.provenance["parameters"],
        "device": job.provenance["device"],
        "status": job.provenance["status"],
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
    classes = np.arange(predictions.logits.shape[1])
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


def confusion(predictions: Predictions) -> np.ndarray:
    """Counts of test images, int64 (classes, classes): a row a true class, a column a predicted."""
    classes = np.arange(predictions.logits.shape[1])
    return confusion_matrix(predictions.labels, predictions.predicted, labels=classes)


def confusions(jobs: list[Job]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The class names, and for each run its confusion matrix summed over the seeds."""
    matrices: dict[str, np.ndarray] = {}
    class_names: tuple[str, ...] = ()
    for job, predictions in study.predictions(jobs):
        class_names = predictions.class_names
        matrices[job.run] = matrices.get(job.run, 0) + confusion(predictions)
    return class_names, matrices
