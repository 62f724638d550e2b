"""How the runs differ: each pair, and what the frameworks' defaults account for."""

from twinbench.analysis import defaults
from twinbench.analysis.comparisons import Comparison
from twinbench.analysis.wording import (
    difference,
    difference_interval,
    framework,
    listed,
    margin,
    p_value,
)
from twinbench.report.evidence import Evidence, Table


def comparisons(evidence: Evidence) -> Table:
    """One row per pair of runs, with the verdict in words."""
    header = [
        "pair (a, b)",
        "a - b (percentage points)",
        "95 % interval",
        "only a right",
        "only b right",
        "p (Holm)",
        "verdict",
    ]
    rows = [
        [
            _pair(evidence, pair),
            difference(pair.difference),
            difference_interval(pair.difference_low, pair.difference_high),
            f"{pair.only_a_correct:,}",
            f"{pair.only_b_correct:,}",
            p_value(pair.p_holm).removeprefix("p = ").removeprefix("p "),
            pair.verdict,
        ]
        for pair in evidence.comparisons
    ]
    return Table(header, rows)


def _pair(evidence: Evidence, pair: Comparison) -> str:
    """The names of a pair, with what a reader must know where it stands: `a, b (device differs)`."""
    names = f"{evidence.labels[pair.run_a]}, {evidence.labels[pair.run_b]}"
    if not pair.hardware:
        return names
    return f"{names} ({listed(pair.hardware)} differ{'s' if len(pair.hardware) == 1 else ''})"


def comparison_note(evidence: Evidence) -> str:
    """How the comparisons were computed."""
    if evidence.seeds == 2:
        return (
            "Each pair is compared over the same two seeds: t interval with one degree of freedom, "
            "and no test, because two seeds cannot support a claim about methods."
        )
    how = (
        "Each pair is compared over the same test images: Tango's score interval for paired "
        "proportions, McNemar's exact test, Holm's adjustment over all tested pairs. With one seed "
        "this compares the trained models."
        if evidence.seeds == 1
        else "Each pair is compared over the same seeds: t interval and paired t test, Holm's "
        "adjustment over all tested pairs. The counts are summed over the seeds."
    )
    return (
        f"{how} Two runs count as equivalent when both one-sided tests reject a difference of "
        f"{margin(evidence.settings.equivalence_margin)} or more."
    )


def default_gaps(evidence: Evidence) -> Table:
    """How much of each difference between frameworks their defaults account for."""
    rows = [
        [
            gap.network,
            f"{framework(gap.first)} - {framework(gap.second)}",
            *(str(estimate) for estimate in (gap.native, gap.harmonised, gap.defaults)),
        ]
        for gap in evidence.default_gaps
    ]
    header = ["network", "difference", "own defaults", "same protocol", "due to the defaults"]
    return Table(header, rows)


def default_findings(evidence: Evidence) -> list[str]:
    return [defaults.finding(gap) for gap in evidence.default_gaps]
