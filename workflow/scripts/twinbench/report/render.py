"""The report as Markdown."""

from collections.abc import Callable
from pathlib import Path

import jinja2
import numpy as np

from twinbench.report import (
    answer,
    comparisons,
    discussion,
    limits,
    methods,
    outcomes,
    provenance,
    reported,
)
from twinbench.report.evidence import Evidence

# By the template's names.
SECTIONS: dict[str, Callable[[Evidence], object]] = {
    "answer": answer.answer,
    "results": outcomes.results,
    "notes": outcomes.notes,
    "costs": outcomes.costs,
    "collapses": discussion.collapses,
    "comparisons": comparisons.comparisons,
    "comparison_note": comparisons.comparison_note,
    "default_gaps": comparisons.default_gaps,
    "default_findings": comparisons.default_findings,
    "classes": outcomes.classes,
    "class_findings": outcomes.class_findings,
    "reported": reported.reported,
    "reported_limits": reported.reported_limits,
    "counts": methods.counts,
    "data": methods.data,
    "networks": methods.networks,
    "common_settings": methods.common_settings,
    "own_settings": methods.own_settings,
    "parity": methods.parity,
    "parity_findings": methods.parity_findings,
    "audited": methods.audited,
    "discussion": discussion.discussion,
    "conclusions": discussion.conclusions,
    "limits": lambda evidence: limits.limits(evidence).values(),
    "software": provenance.software,
    "provenance": provenance.provenance,
    "checksums": provenance.checksums,
}


def render(template: Path, evidence: Evidence) -> str:
    """The report as Markdown, from a Jinja template."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    classes = len(evidence.class_names)
    return environment.get_template(template.name).render(
        settings=evidence.settings,
        reference=evidence.reference,
        figures=evidence.figures,
        seeds=evidence.seeds,
        class_count=classes,
        chance_loss=f"{np.log(classes):.3f}",
        **{name: section(evidence) for name, section in SECTIONS.items()},
    )


def _cell(value: object) -> str:
    """A text for a table: one line, without what would end the cell."""
    return " ".join(str(value).split()).replace("|", "\\|")
