"""What the report reads beside the results: facts of the data, results reported elsewhere, figures."""

import json
import os
from pathlib import Path

import yaml

from twinbench.analysis.comparisons import ComparisonSettings
from twinbench.analysis.reading import Record, readable
from twinbench.errors import InputError

FIGURES = ("accuracy", "learning_curves", "confusion", "accuracy_time")


class ReportSettings(ComparisonSettings):
    """`study` is the study's name; `title` and `introduction` open the report."""

    study: str
    title: str
    introduction: str


class DataStatistics(Record):
    """How the data were split: `counts` by split and class, `mean` and `std` by channel (0 to 1).

    `limit` is the number of images that were taken of each official split, None for all.
    """

    class_names: list[str]
    counts: dict[str, dict[str, int]]
    mean: list[float]
    std: list[float]
    limit: int | None
    validation_fraction: float
    seed: int


class ReportedRun(Record):
    """What somebody reported of a run: accuracies as fractions, times in seconds."""

    seconds_per_epoch: float
    train_loss: float
    train_accuracy: float
    test_accuracy: float


class Reference(Record):
    """Results that were reported elsewhere; `dataset` is their source, as in the config."""

    title: str
    note: str
    dataset: str
    epochs: int
    runs: dict[str, ReportedRun]


def read_statistics(path: Path) -> DataStatistics:
    """Read the data's statistics.json."""
    with readable(path, "build the tensors again"):
        return DataStatistics.model_validate(json.loads(path.read_text(encoding="utf-8")))


def read_reference(path: Path) -> Reference:
    """Read results reported elsewhere; config/reference.yaml shows the form."""
    with readable(path, "see config/reference.yaml"):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"not readable YAML ({error})") from None
        return Reference.model_validate(content)


def figure_links(folder: Path, start: Path) -> dict[str, str]:
    """Links to the PNG of each figure in `folder`, relative to the folder `start` of the report."""
    for name in FIGURES:
        if not (folder / f"{name}.png").is_file():
            raise InputError(f"{folder / name}.png: no such figure; draw the figures first")
    relative = Path(os.path.relpath(folder, start)).as_posix()
    return {name: f"{relative}/{name}.png" for name in FIGURES}
