"""All that the report is written from, and the facts that several sections need."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from twinbench.analysis import defaults, results, wording
from twinbench.analysis.comparisons import Comparison
from twinbench.analysis.defaults import Gap
from twinbench.analysis.reading import Dataset, Provenance
from twinbench.analysis.results import TrainedModel
from twinbench.parity import audit, comparing
from twinbench.parity.comparing import Finding
from twinbench.report.inputs import DataStatistics, Reference, ReportSettings


@dataclass(frozen=True)
class Table:
    """A table of the report: texts, as many in each row as in the header."""

    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Evidence:
    """All that the report is written from.

    `confusions` are for each run the counts int (classes, classes) summed over the seeds, `figures`
    links by name. `reference` is None without reported results; `parity` and `audit` are None in a study
    of one framework.
    """

    settings: ReportSettings
    metrics: pd.DataFrame
    comparisons: list[Comparison]
    models: list[TrainedModel]
    confusions: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    statistics: DataStatistics
    reference: Reference | None
    figures: dict[str, str]
    parity: pd.DataFrame | None
    audit: pd.DataFrame | None

    @cached_property
    def runs(self) -> dict[str, pd.DataFrame]:
        """The rows of the metrics of each run, one per seed."""
        return {str(run): rows for run, rows in self.metrics.groupby("run", sort=False)}

    @cached_property
    def labels(self) -> dict[str, str]:
        """The name of each run with its marks."""
        return {run: wording.label(run, rows) for run, rows in self.runs.items()}

    @cached_property
    def provenance(self) -> dict[str, Provenance]:
        """What training recorded about the first seed of each run."""
        first = results.first_models(self.models)
        return {run: model.provenance for run, model in first.items()}

    @property
    def dataset(self) -> Dataset:
        """What training recorded about the data, the same for all runs."""
        return next(iter(self.provenance.values())).dataset

    @property
    def seeds(self) -> int:
        """How many seeds each run has."""
        return int(self.metrics["seed"].nunique())

    @property
    def frameworks(self) -> list[str]:
        return list(dict.fromkeys(self.framework(run) for run in self.runs))

    def framework(self, run: str) -> str:
        return self.provenance[run].framework

    def pretrained(self, run: str) -> bool:
        return self.provenance[run].weights.source != "none"

    @cached_property
    def collapsed(self) -> list[str]:
        """The runs of which at least one seed collapsed."""
        found = {model.run for model in self.models if model.collapsed}
        return [run for run in self.runs if run in found]

    @property
    def sound(self) -> dict[str, pd.DataFrame]:
        """The rows of the metrics of each run of which no seed collapsed."""
        return {run: rows for run, rows in self.runs.items() if run not in self.collapsed}

    @property
    def synthetic_weights(self) -> list[str]:
        """The runs that started from weights pretrained on synthetic images."""
        found = self.provenance.items()
        return [run for run, provenance in found if provenance.weights.source == "synthetic"]

    @property
    def synthetic_images(self) -> bool:
        return self.dataset.source == "synthetic"

    @cached_property
    def default_gaps(self) -> list[Gap]:
        """What the frameworks' defaults account for; empty without native runs."""
        return defaults.gaps(self.models)

    @cached_property
    def parity_findings(self) -> list[Finding]:
        """What the parity suite and the audit found; empty where they were not run."""
        if self.parity is None or self.audit is None:
            return []
        return [*comparing.findings(self.parity), audit.finding(self.audit)]
