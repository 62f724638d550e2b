"""What the report reads beside the results: its settings, and facts of the data."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from twinbench.analysis.comparisons import ComparisonSettings
from twinbench.analysis.reading import Record
from twinbench.config.base import Settings
from twinbench.errors import ANEW
from twinbench.files import readable


class ReportSettings(ComparisonSettings):
    """`study` is the study's name; `title` and `introduction` open the report, in `language`.

    `archive_sha256` is that of the images' archive, None for synthetic images, and `official_archive`
    whether it is CIFAR-10's own; `published` has the checksums of the publishers' weights by network.
    """

    study: str
    title: str
    introduction: str
    language: Literal["en", "es"]
    archive_sha256: str | None
    official_archive: bool
    published: dict[str, str] = Field(default_factory=dict)


class Given(Settings):
    """What Snakemake got besides config/config.yaml: config files, and values of the config's keys. With
    `elsewhere` the study's config is another one than the clone's."""

    files: list[str] = Field(default_factory=list)
    values: dict[str, Any] = Field(default_factory=dict)
    elsewhere: bool = False


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


def read_statistics(path: Path) -> DataStatistics:
    """Read the data's statistics.json."""
    with readable(path, ANEW):
        return DataStatistics.model_validate(json.loads(path.read_text(encoding="utf-8")))
