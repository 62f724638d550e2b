"""What training left behind, read and checked: one folder for each run and seed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from twinbench.errors import InputError

HISTORY_COLUMNS = {
    "epoch": float,
    "seconds": float,
    "images_per_second": float,
    "train_loss": float,
    "train_accuracy": float,
    "validation_loss": float,
    "validation_accuracy": float,
}
PROVENANCE_KEYS = {
    "framework": str,
    "model": str,
    "weights": dict,
    "settings": dict,
    "precision": str,
    "device": str,
    "threads": int,
    "dataset": dict,
    "versions": dict,
    "git": (dict, type(None)),
    "layers": list,
    "parameters": int,
    "chosen_epoch": int,
    "epochs_run": int,
    "total_seconds": (int, float),
    "status": str,
}


@dataclass(frozen=True)
class Predictions:
    """The logits of one trained model for the test split, in the order of the sample numbers.

    `sample_ids` and `labels` are int64 (n,), `logits` float32 (n, classes).
    """

    sample_ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    class_names: tuple[str, ...]

    @property
    def predicted(self) -> np.ndarray:
        """The class with the largest logit, int64 (n,)."""
        return self.logits.argmax(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """Whether each prediction is right, bool (n,)."""
        return self.predicted == self.labels

    @property
    def finite(self) -> bool:
        """Whether all logits are finite numbers."""
        return bool(np.isfinite(self.logits).all())


@dataclass(frozen=True)
class Job:
    """One trained model: a run with one seed, and what training noted about it."""

    run: str
    seed: int
    folder: Path
    provenance: dict[str, Any]

    @property
    def weights(self) -> str:
        """The source of the initial weights: none, imagenet, proxy or file."""
        return self.provenance["weights"]["source"]

    @property
    def collapsed(self) -> bool:
        """Whether training noticed that the model got stuck at chance."""
        return self.provenance["status"] == "collapsed"

    def history(self) -> pd.DataFrame:
        """The training history, a row an epoch."""
        return read_history(self.folder / "history.csv")


def jobs(directory: Path, settings: dict[str, Any]) -> list[Job]:
    """The trained models under `directory`, in the order of the settings.

    `settings` holds `runs` (a mapping whose keys are the names of the runs) and `seeds` (a list).
    """
    found = []
    for run in settings["runs"]:
        for seed in settings["seeds"]:
            folder = Path(directory) / run / f"seed-{seed}"
            found.append(Job(run, seed, folder, read_provenance(folder / "provenance.json")))
    if not found:
        raise InputError(f"{directory}: no runs or no seeds are configured; add at least one")
    return found


def first_jobs(jobs: list[Job]) -> dict[str, Job]:
    """The first seed's job of each run, in order."""
    found: dict[str, Job] = {}
    for job in jobs:
        found.setdefault(job.run, job)
    return found


def predictions(jobs: list[Job]) -> Iterator[tuple[Job, Predictions]]:
    """Each job with its predictions, all over the same samples with the same labels."""
    first = None
    for job in jobs:
        path = job.folder / "predictions.parquet"
        current = read_predictions(path)
        if not (job.collapsed or current.finite):
            row = int(np.flatnonzero(~np.isfinite(current.logits).all(axis=1))[0])
            raise InputError(
                f"{path}: sample {current.sample_ids[row]} has a logit that is not a finite "
                f"number, but the run is not marked as collapsed; train {job.run} again"
            )
        first = first or (path, current)
        _check_same_samples(path, current, *first)
        yield job, current


def _check_same_samples(
    path: Path, current: Predictions, first_path: Path, first: Predictions
) -> None:
    same = np.array_equal(current.sample_ids, first.sample_ids) and np.array_equal(
        current.labels, first.labels
    )
    if not same:
        raise InputError(
            f"{path}: its samples or labels are not those of {first_path}; "
            "all runs of a study need the same test split: train the older one again"
        )
    if current.logits.shape != first.logits.shape:
        raise InputError(
            f"{path}: {current.logits.shape[1]} logits a sample, but {first.logits.shape[1]} in "
            f"{first_path}; all runs of a study need the same classes"
        )


def histories(jobs: list[Job]) -> dict[str, pd.DataFrame]:
    """For each run the histories of its seeds, one below the other, with a column `seed`."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for job in jobs:
        tables.setdefault(job.run, []).append(job.history().assign(seed=job.seed))
    return {run: pd.concat(found, ignore_index=True) for run, found in tables.items()}


def read_predictions(path: Path) -> Predictions:
    """Read `predictions.parquet`: columns sample_id, label and logits (a list of floats)."""
    try:
        table = pq.read_table(_existing(path))
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet file ({error}); train again") from None
    missing = {"sample_id", "label", "logits"} - set(table.column_names)
    if missing:
        raise InputError(f"{path}: column {', '.join(sorted(missing))} is missing; train again")
    if table.num_rows == 0:
        raise InputError(f"{path}: no rows; the test split is empty: raise dataset.limit")
    sample_ids = table["sample_id"].to_numpy()
    labels = table["label"].to_numpy()
    class_names = tuple(json.loads((table.schema.metadata or {}).get(b"class_names", b"[]")))
    logits = _logits(path, table["logits"].combine_chunks(), len(class_names))
    _check_rows(path, sample_ids, labels, logits.shape[1])
    order = np.argsort(sample_ids)
    return Predictions(
        sample_ids[order],
        labels[order],
        logits[order],
        class_names or tuple(str(number) for number in range(logits.shape[1])),
    )


def _logits(path: Path, column: pa.Array, classes: int) -> np.ndarray:
    """The list column as a matrix (n, classes); `classes` is 0 where the file does not say."""
    widths = np.asarray(column.value_lengths().fill_null(0))
    expected = classes or int(widths[0])
    wrong = np.flatnonzero(widths != expected)
    if wrong.size or expected < 2:
        row = int(wrong[0]) if wrong.size else 0
        raise InputError(
            f"{path}: row {row} has {widths[row]} logits, expected {expected or 'at least 2'}; "
            "train again"
        )
    values = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), expected)


def _check_rows(path: Path, sample_ids: np.ndarray, labels: np.ndarray, classes: int) -> None:
    if not (
        np.issubdtype(sample_ids.dtype, np.integer) and np.issubdtype(labels.dtype, np.integer)
    ):
        raise InputError(f"{path}: sample_id or label is empty or no integer; train again")
    values, counts = np.unique(sample_ids, return_counts=True)
    if counts.max() > 1:
        raise InputError(
            f"{path}: sample_id {values[counts.argmax()]} occurs {counts.max()} times; train again"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise InputError(
            f"{path}: sample {sample_ids[wrong[0]]} has label {labels[wrong[0]]}, "
            f"but there are {classes} logits; train again"
        )


def read_history(path: Path) -> pd.DataFrame:
    """Read `history.csv`; the columns that the analysis uses are float64."""
    try:
        history = pd.read_csv(_existing(path))
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a readable CSV file ({error}); train again") from None
    missing = sorted(HISTORY_COLUMNS.keys() - set(history.columns))
    if missing or history.empty:
        lack = f"column {', '.join(missing)} is missing" if missing else "no epochs"
        raise InputError(f"{path}: {lack}; train again")
    try:
        return history.astype(HISTORY_COLUMNS)
    except ValueError as error:
        raise InputError(f"{path}: {error}; train again") from None


def read_provenance(path: Path) -> dict[str, Any]:
    """Read `provenance.json` and check the keys that the analysis uses."""
    try:
        provenance = json.loads(_existing(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); train again") from None
    for key, kind in PROVENANCE_KEYS.items():
        if not isinstance(provenance, dict) or not isinstance(provenance.get(key), kind):
            raise InputError(f"{path}: key {key} is missing or of a wrong type; train again")
    if "source" not in provenance["weights"]:
        raise InputError(f"{path}: key weights.source is missing; train again")
    return provenance


def _existing(path: Path) -> Path:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; train this run first")
    return Path(path)


def marks(rows: pd.DataFrame) -> list[str]:
    """What a reader must know wherever a run's name stands, from its rows of the metrics table."""
    collapsed = int((rows["status"] == "collapsed").sum())
    return [
        *(["proxy weights"] if (rows["weights"] == "proxy").any() else []),
        *([_collapse(collapsed, len(rows))] if collapsed else []),
    ]


def _collapse(collapsed: int, seeds: int) -> str:
    return "collapsed" if seeds == 1 else f"collapsed in {collapsed} of {seeds} seeds"


def label(run: str, rows: pd.DataFrame) -> str:
    """The name of a run with its marks: `tensorflow-pretrained (proxy weights)`."""
    found = marks(rows)
    return f"{run} ({', '.join(found)})" if found else run
