"""The files that a training leaves behind, read and checked."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, PositiveInt

from twinbench.data.archive import CIFAR10_CLASSES
from twinbench.files import readable

HISTORY_COLUMNS = (
    "epoch",
    "phase",
    "input_size",
    "seconds",
    "images_per_second",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
)
# A run's files are made together, so one that is missing brings all anew.
TRAINED_ANEW = "delete it and start again: the run will be retrained"
_MOST_VALUES = 1 << 25  # of a column; no archive that is read has more test images than 350,000


class Record(BaseModel):
    """What a file holds, as far as the analysis uses it; other keys are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class InitialWeights(Record):
    """`source` is none, imagenet, synthetic or file; `file` is the name of the user's file, if there is
    one, `sha256` the checksum of the weights."""

    source: str
    file: str | None
    sha256: str | None

    @property
    def identity(self) -> tuple[str, str | None]:
        """The same for the same weights. The user's own files differ by their content alone: two may have one
        name, and one may be moved."""
        return self.source, self.sha256 if self.source == "file" else None


class Dataset(Record):
    """`source` is cifar10, which holds for any archive, or synthetic; `sha256` the checksum of each
    split's file."""

    name: str
    source: str
    class_names: list[str]
    train_images: PositiveInt
    sha256: dict[str, str]

    @property
    def kind(self) -> str:
        """What the images are: cifar10, synthetic, or own, of other classes than CIFAR-10's."""
        own = self.source == "cifar10" and tuple(self.class_names) != CIFAR10_CLASSES
        return "own" if own else self.source


class Code(Record):
    """The Git commit of the code; `dirty` if it had changes. None without a Git checkout."""

    commit: str | None
    dirty: bool | None


class Accelerator(Record):
    """How a GPU was used: its driver's version, those of CUDA and cuDNN as the framework names them, and
    how many jobs were allowed to share it. None where that is not known."""

    compute_capability: str | None
    driver: str | None
    cuda: str | None
    cudnn: str | None
    jobs_per_gpu: int


class Provenance(Record):
    """What training recorded about itself; times in seconds, `settings` those of `config.training`.

    `device` is the GPU's name or `CPU (<processor>)`, `accelerator` None on a CPU. `device_note` says
    why a training did not use a GPU that was there, `resumed_inexactly` which conditions changed while
    it was interrupted.
    """

    seed: int
    framework: str
    model: str
    weights: InitialWeights
    settings: dict[str, Any]
    precision: str
    device: str
    accelerator: Accelerator | None
    device_note: str | None
    resumed_inexactly: list[str] | None = None
    threads: int
    parameters: int
    layers: list[str]
    epochs_run: PositiveInt
    selected_epoch: PositiveInt
    status: Literal["completed", "collapsed"]
    diagnosis: str | None
    dataset: Dataset
    versions: dict[str, str]
    git: Code
    started: str
    total_seconds: float


@dataclass(frozen=True)
class Predictions:
    """The logits of one trained model for the test split, in the order of the sample ids.

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
        return bool(np.isfinite(self.logits).all())


def read_provenance(path: Path) -> Provenance:
    """Read `provenance.json`."""
    with readable(path, TRAINED_ANEW):
        return Provenance.model_validate(json.loads(path.read_text(encoding="utf-8")))


def check_rows(path: Path) -> None:
    """Raise `ValueError` unless all rows of a CSV file are whole: pandas fills up what is missing."""
    text = path.read_text(encoding="utf-8")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if not rows:
        raise ValueError("no rows")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"row {number} has {len(row)} cells, but the header {len(rows[0])}")
    if not text.endswith("\n"):
        raise ValueError("its last row is cut short")


def read_history(path: Path, epochs: int) -> pd.DataFrame:
    """Read `history.csv`: one row per epoch, the columns of `HISTORY_COLUMNS`, `phase` as text and all
    others as float64."""
    types = dict.fromkeys(HISTORY_COLUMNS, float) | {"phase": str}
    with readable(path, TRAINED_ANEW):
        check_rows(path)
        # An empty cell is no NaN, which stands there as such.
        history = pd.read_csv(
            path,
            usecols=types.__contains__,
            dtype=types,
            keep_default_na=False,
            na_values=["nan"],
            encoding="utf-8",
        )
        if missing := [name for name in HISTORY_COLUMNS if name not in history]:
            raise ValueError(f"column {', '.join(missing)} is missing")
        if history["epoch"].tolist() != list(range(1, epochs + 1)):
            raise ValueError(f"its epochs are not 1 to {epochs}, as in provenance.json")
        return history


def read_predictions(path: Path) -> Predictions:
    """Read `predictions.parquet`: columns sample_id, label, and logits, a list of floats per row.

    Pages whose checksum is wrong are refused.
    """
    with (
        readable(path, TRAINED_ANEW),
        open(path, "rb") as source,
        pq.ParquetFile(source, page_checksum_verification=True) as file,
    ):
        _check_size(file.metadata)
        class_names = _class_names(file.schema_arrow)
        # Threads save nothing here, and were once seen to abort a process that ended while they started.
        table = file.read(columns=_columns(file.schema_arrow), use_threads=False)
        if not table.num_rows:
            raise ValueError("no rows")
        sample_ids, labels = table["sample_id"].to_numpy(), table["label"].to_numpy()
        logits = _logits(table["logits"].combine_chunks(), len(class_names))
        _check_rows(sample_ids, labels, len(class_names))
    order = np.argsort(sample_ids)
    return Predictions(sample_ids[order], labels[order], logits[order], class_names)


def _check_size(metadata: pq.FileMetaData) -> None:
    """Before anything is read: a few bytes can stand for any number of equal rows."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = range(metadata.num_columns)
    counts = [sum(group.column(column).num_values for group in groups) for column in columns]
    if (most := max([metadata.num_rows, *counts])) > _MOST_VALUES:
        raise ValueError(f"{most} values in a column, more than {_MOST_VALUES}")


def _columns(schema: pa.Schema) -> list[str]:
    """The names of the columns to read, each there once, with the right type."""
    wanted = {"sample_id": pa.types.is_integer, "label": pa.types.is_integer, "logits": _is_floats}
    for name, is_right in wanted.items():
        places = schema.get_all_field_indices(name)
        if len(places) != 1:
            raise ValueError(f"column {name} is {'there twice' if places else 'missing'}")
        if not is_right(kind := schema.field(places[0]).type):
            raise ValueError(f"column {name} holds {kind}")
    return list(wanted)


def _is_floats(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def _class_names(schema: pa.Schema) -> tuple[str, ...]:
    names = json.loads((schema.metadata or {}).get(b"class_names", b"null"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("its metadata lack class_names, a list of texts")
    return tuple(names)


def _logits(column: pa.Array, classes: int) -> np.ndarray:
    """The list column as a matrix (n, classes)."""
    widths = np.asarray(column.value_lengths().fill_null(0))
    wrong = np.flatnonzero(widths != classes)
    if wrong.size:
        raise ValueError(f"row {wrong[0]} has {widths[wrong[0]]} logits, expected {classes}")
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), classes)


def _check_rows(sample_ids: np.ndarray, labels: np.ndarray, classes: int) -> None:
    for name, column in (("sample_id", sample_ids), ("label", labels)):
        if not np.issubdtype(column.dtype, np.integer):
            raise ValueError(f"{name} has values that are not integers")
    values, counts = np.unique(sample_ids, return_counts=True)
    if counts.max() > 1:
        raise ValueError(f"sample_id {values[counts.argmax()]} occurs {counts.max()} times")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        row = wrong[0]
        raise ValueError(
            f"sample {sample_ids[row]} has label {labels[row]}, but there are {classes} classes"
        )
