"""All that the report is written from, and the facts that several sections need."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from twinbench.analysis import defaults, naming
from twinbench.analysis.comparisons import FACTORS, REPETITION, Comparison
from twinbench.analysis.defaults import Gap
from twinbench.analysis.naming import ContrastName
from twinbench.analysis.reading import Dataset, Provenance
from twinbench.analysis.study_results import StudyResults
from twinbench.config.reference import Reference
from twinbench.language import Language
from twinbench.parity import audit, comparing
from twinbench.parity.comparing import Finding
from twinbench.report.blocks import Block, Figure
from twinbench.report.inputs import DataStatistics, Given, ReportSettings


@dataclass(frozen=True)
class Evidence:
    """All that the report is written from.

    `figures` are the names of those that there are. `reference` is None without reported results;
    `parity` and `audit` are None in a study of one framework.
    """

    say: Language
    settings: ReportSettings
    given: Given
    results: StudyResults
    statistics: DataStatistics
    reference: Reference | None
    parity: pd.DataFrame | None
    audit: pd.DataFrame | None
    figures: list[str]

    @cached_property
    def labels(self) -> dict[str, str]:
        """The name of each run with its marks."""
        return {run: naming.marked(self.results, run, self.say) for run in self.results.runs}

    @cached_property
    def provenance(self) -> dict[str, Provenance]:
        """What training recorded about the first seed of each run."""
        return {run: model.provenance for run, model in self.results.first.items()}

    @property
    def provenances(self) -> list[Provenance]:
        """What each training recorded."""
        return [model.provenance for model in self.results.models]

    @property
    def dataset(self) -> Dataset:
        """What training recorded about the data, the same for all runs."""
        return next(iter(self.provenance.values())).dataset

    @property
    def seeds(self) -> int:
        """How many seeds each run has."""
        return len(self.results.seeds)

    @property
    def images(self) -> int:
        """How many test images there are."""
        return len(self.results.labels)

    @cached_property
    def contrasts(self) -> dict[ContrastName, Comparison]:
        """The planned pairs without collapsed runs by their names, question by question."""
        pairs = [pair for pair in self.results.compared if pair.planned]
        pairs.sort(key=lambda pair: [*FACTORS, REPETITION].index(pair.question))
        names = naming.contrast_names(self.results, pairs, self.say)
        return dict(zip(names, pairs, strict=True))

    @property
    def unplanned(self) -> list[Comparison]:
        """The pairs that differ in more than one thing, without collapsed runs."""
        return [pair for pair in self.results.compared if not pair.planned]

    @property
    def synthetic_weights(self) -> list[str]:
        """The runs that started from weights pretrained on synthetic images."""
        found = self.provenance.items()
        return [run for run, provenance in found if provenance.weights.source == "synthetic"]

    @property
    def synthetic_images(self) -> bool:
        return self.dataset.source == "synthetic"

    def figure(self, name: str, description: str) -> list[Block]:
        """The figure of this name, if there is one."""
        return [Figure(name, description)] if name in self.figures else []

    @cached_property
    def default_gaps(self) -> list[Gap]:
        """What the frameworks' defaults account for; empty without native runs."""
        return defaults.gaps(self.results.models, self.results.correct)

    @cached_property
    def parity_findings(self) -> list[Finding]:
        """What the parity suite and the audit found; empty where they were not run."""
        if self.parity is None or self.audit is None:
            return []
        return [*comparing.findings(self.parity, self.say), audit.finding(self.audit, self.say)]
