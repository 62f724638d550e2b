"""The files that a training leaves behind, read and checked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from twinbench.errors import InputError

HISTORY_COLUMNS = (
    "epoch",
    "seconds",
    "images_per_second",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
)
# Where training changed what it trained, or the size of the images; absent from older histories.
_CHANGES = {"phase": str, "input_size": float}
_ADVICE = "train this run again"


class Record(BaseModel):
    """What a file holds, as far as the analysis uses it; other keys are ignored."""

    model_config = ConfigDict(frozen=True)


class InitialWeights(Record):
    """`source` is none, imagenet, synthetic or file; `file` is the name of the user's file, if there is
    one, `sha256` the checksum of the weights."""

    source: str
    file: str | None
    sha256: str | None


class Dataset(Record):
    """`source` is cifar10 or synthetic, `sha256` the checksum of each split's file."""

    name: str
    source: str
    sha256: dict[str, str]


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
    epochs_run: int
    selected_epoch: int
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


@contextmanager
def readable(path: Path, advice: str) -> Iterator[None]:
    """Turn whatever is wrong with the file at `path` into an `InputError` of one line."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {advice}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "content"
        raise InputError(f"{path}: {key}: {first['msg']}; {advice}") from None
    except (ValueError, OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's, not Parquet's
        raise InputError(f"{path}: {' '.join(str(error).split())}; {advice}") from None


def read_provenance(path: Path) -> Provenance:
    """Read `provenance.json`."""
    with readable(path, _ADVICE):
        return Provenance.model_validate(json.loads(path.read_text(encoding="utf-8")))


def read_history(path: Path) -> pd.DataFrame:
    """Read `history.csv`: one row per epoch, the columns of `HISTORY_COLUMNS` as float64, and where it
    has them `phase`, text, and `input_size`, pixels."""
    types = dict.fromkeys(HISTORY_COLUMNS, float) | _CHANGES
    with readable(path, _ADVICE):
        history = pd.read_csv(path, usecols=types.__contains__, dtype=types, encoding="utf-8")
        if missing := [name for name in HISTORY_COLUMNS if name not in history]:
            raise ValueError(f"column {', '.join(missing)} is missing")
        if history.empty:
            raise ValueError("no epochs")
        return history


def read_predictions(path: Path) -> Predictions:
    """Read `predictions.parquet`: columns sample_id, label, and logits, a list of floats per row.

    Pages whose checksum is wrong are refused.
    """
    with readable(path, _ADVICE):
        table = pq.read_table(path, page_checksum_verification=True)
        if missing := sorted({"sample_id", "label", "logits"} - set(table.column_names)):
            raise ValueError(f"column {', '.join(missing)} is missing")
        class_names = tuple(json.loads((table.schema.metadata or {}).get(b"class_names", b"[]")))
        if not table.num_rows:
            raise ValueError("no rows")
        sample_ids, labels = table["sample_id"].to_numpy(), table["label"].to_numpy()
        logits = _logits(table["logits"].combine_chunks(), len(class_names))
        _check_rows(sample_ids, labels, len(class_names))
    order = np.argsort(sample_ids)
    return Predictions(sample_ids[order], labels[order], logits[order], class_names)


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
