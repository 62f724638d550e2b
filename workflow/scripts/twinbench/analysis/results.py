"""The trained models of a study: one for each run and seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from twinbench.analysis import checking, reading
from twinbench.analysis.reading import Predictions, Provenance
from twinbench.config.base import Settings
from twinbench.errors import InputError


class RunFacts(Settings):
    """What a run is, as configured: `weights` is their source, `weights_file` the name of the user's
    file, and `training` has the run's own training settings by dotted keys."""

    framework: str
    model: str
    weights: str
    weights_file: str | None = None
    training: dict[str, Any] = Field(default_factory=dict)


class StudySettings(Settings):
    """Which runs and seeds a study has, in the order of its tables.

    `training` has the training settings of the runs that have no others of their own.
    """

    runs: Annotated[dict[str, RunFacts], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    training: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class TrainedModel:
    """A run trained with one seed, and what training recorded about it."""

    run: str
    seed: int
    folder: Path
    provenance: Provenance

    @property
    def collapsed(self) -> bool:
        """Whether training found that the model gives every image the same answer."""
        return self.provenance.status == "collapsed"

    def history(self) -> pd.DataFrame:
        """The training history, one row per epoch."""
        return reading.read_history(self.folder / "history.csv", self.provenance.epochs_run)


def trained_models(directory: Path, settings: StudySettings) -> list[TrainedModel]:
    """The trained models under `directory`, in the order of the settings.

    Raises `InputError` if one was not trained as the settings ask, or on other bytes than the rest.
    """
    found = []
    for run, facts in settings.runs.items():
        asked = {
            "framework": facts.framework,
            "model": facts.model,
            "weights.source": facts.weights,
            "weights.file": facts.weights_file,
        }
        for seed in settings.seeds:
            folder = directory / run / f"seed-{seed}"
            provenance = reading.read_provenance(folder / "provenance.json")
            checking.check_asked(
                folder, provenance, seed, asked, settings.training | facts.training
            )
            found.append(TrainedModel(run, seed, folder, provenance))
    checking.check_comparable({model.folder: model.provenance for model in found})
    return found


def first_models(models: list[TrainedModel]) -> dict[str, TrainedModel]:
    """Each run's model of the first seed, in order."""
    found: dict[str, TrainedModel] = {}
    for model in models:
        found.setdefault(model.run, model)
    return found


def predictions(models: list[TrainedModel]) -> Iterator[tuple[TrainedModel, Predictions]]:
    """Each model with its predictions, all for the same samples with the same labels."""
    first: tuple[TrainedModel, Predictions] | None = None
    for model in models:
        path = model.folder / "predictions.parquet"
        current = reading.read_predictions(path)
        if not (model.collapsed or current.finite):
            row = int(np.flatnonzero(~np.isfinite(current.logits).all(axis=1))[0])
            raise InputError(
                f"{path}: sample {current.sample_ids[row]} has a logit that is NaN or infinite, but "
                f"the run is not marked as collapsed; {reading.TRAINED_ANEW}"
            )
        first = first or (model, current)
        _check_same_samples(model, current, *first)
        yield model, current


def _check_same_samples(
    model: TrainedModel, current: Predictions, other: TrainedModel, first: Predictions
) -> None:
    same = (
        np.array_equal(current.sample_ids, first.sample_ids)
        and np.array_equal(current.labels, first.labels)
        and current.class_names == first.class_names
    )
    if not same:
        older, newer = sorted((model, other), key=lambda each: each.provenance.started)
        raise InputError(
            f"{older.folder / 'predictions.parquet'}: samples, labels or classes differ from those of "
            f"{newer.folder / 'predictions.parquet'}, made later; {reading.TRAINED_ANEW}"
        )


def correct_predictions(models: list[TrainedModel]) -> dict[str, np.ndarray]:
    """For each run which predictions are right: bool (seeds, images)."""
    correct: dict[str, list[np.ndarray]] = {}
    for model, found in predictions(models):
        correct.setdefault(model.run, []).append(found.correct)
    return {run: np.stack(rows) for run, rows in correct.items()}
