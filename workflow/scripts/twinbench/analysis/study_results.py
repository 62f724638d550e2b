"""All that a study's figures and report are made from, read once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from twinbench.analysis import comparisons, metrics, results
from twinbench.analysis.comparisons import Comparison
from twinbench.analysis.metrics import Accuracy
from twinbench.analysis.results import StudySettings, TrainedModel


@dataclass(frozen=True)
class StudyResults:
    """What a study measured.

    `metrics` has a row for each run and seed. By run, `predicted` holds the predicted classes, int16
    (seeds, images), of the images with the true classes `labels` and the ids `sample_ids`, and
    `reliabilities` what a reliability diagram shows (`metrics.reliability`), summed over the seeds, of runs
    that did not collapse.
    """

    models: list[TrainedModel]
    metrics: pd.DataFrame
    comparisons: list[Comparison]
    class_names: tuple[str, ...]
    sample_ids: np.ndarray
    labels: np.ndarray
    predicted: dict[str, np.ndarray]
    reliabilities: dict[str, np.ndarray]

    @cached_property
    def runs(self) -> dict[str, pd.DataFrame]:
        """The rows of the metrics of each run, one per seed."""
        return {str(run): rows for run, rows in self.metrics.groupby("run", sort=False)}

    @cached_property
    def first(self) -> dict[str, TrainedModel]:
        """The trained model of each run's first seed."""
        return results.first_models(self.models)

    @property
    def chance(self) -> float:
        """The best accuracy of one answer to every image: the largest class's fraction of the images."""
        return float(np.bincount(self.labels).max() / len(self.labels))

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(model.seed for model in self.models))

    @cached_property
    def collapsed(self) -> list[str]:
        """The runs of which at least one seed collapsed."""
        return list(dict.fromkeys(model.run for model in self.models if model.collapsed))

    @cached_property
    def sound(self) -> list[str]:
        """The other runs."""
        return [run for run in self.runs if run not in self.collapsed]

    @property
    def compared(self) -> list[Comparison]:
        """The pairs without collapsed runs."""
        return [pair for pair in self.comparisons if pair.verdict != "collapsed"]

    @cached_property
    def correct(self) -> dict[str, np.ndarray]:
        """For each run which predictions are right: bool (seeds, images)."""
        return {run: classes == self.labels for run, classes in self.predicted.items()}

    @cached_property
    def accuracies(self) -> dict[str, Accuracy]:
        return metrics.accuracies(self.models, self.correct)

    @cached_property
    def confusions(self) -> dict[str, np.ndarray]:
        """For each run counts of test images, int64 (classes, classes), summed over the seeds: true
        classes in rows, predicted ones in columns."""
        return {run: self._confusion(classes) for run, classes in self.predicted.items()}

    def _confusion(self, predicted: np.ndarray) -> np.ndarray:
        classes = len(self.class_names)
        cells = np.broadcast_to(self.labels, predicted.shape) * classes + predicted
        return np.bincount(cells.ravel(), minlength=classes**2).reshape(classes, classes)

    @cached_property
    def mistakes(self) -> dict[str, np.ndarray]:
        """For each run the fraction of each true class's images taken for each other one, float64 (classes,
        classes), 0 on the diagonal."""
        return {run: _mistakes(counts) for run, counts in self.confusions.items()}

    @cached_property
    def histories(self) -> dict[str, pd.DataFrame]:
        """For each run the histories of its seeds, one below the other, with a column `seed`."""
        tables: dict[str, list[pd.DataFrame]] = {}
        for model in self.models:
            tables.setdefault(model.run, []).append(model.history().assign(seed=model.seed))
        return {run: pd.concat(found, ignore_index=True) for run, found in tables.items()}


def _mistakes(counts: np.ndarray) -> np.ndarray:
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(fractions, 0)
    return fractions


def read(
    directory: Path, settings: StudySettings, metrics_file: Path, comparisons_file: Path
) -> StudyResults:
    """Read a study: its trained models under `directory`, and the tables made from them."""
    models = results.trained_models(directory, settings)
    predicted: dict[str, list[np.ndarray]] = {}
    reliabilities: dict[str, list[np.ndarray]] = {}
    for model, predictions in results.predictions(models):
        predicted.setdefault(model.run, []).append(predictions.predicted.astype(np.int16))
        if predictions.finite:
            reliabilities.setdefault(model.run, []).append(metrics.reliability(predictions))
    collapsed = {model.run for model in models if model.collapsed}
    return StudyResults(
        models=models,
        metrics=metrics.read(metrics_file, models),
        comparisons=comparisons.read(comparisons_file, list(settings.runs)),
        class_names=predictions.class_names,
        sample_ids=predictions.sample_ids,
        labels=predictions.labels,
        predicted={run: np.stack(rows) for run, rows in predicted.items()},
        reliabilities={
            run: np.sum(found, axis=0)
            for run, found in reliabilities.items()
            if run not in collapsed
        },
    )
