"""Results that somebody reported elsewhere, beside the measured ones."""

from twinbench.analysis.wording import difference, duration, listed, number, percent
from twinbench.report.evidence import Evidence, Table
from twinbench.report.inputs import Reference, ReportedRun


def _both(evidence: Evidence) -> dict[str, ReportedRun]:
    """The reported results of the runs that the study has."""
    found = evidence.reference.runs if evidence.reference else {}
    return {run: reported for run, reported in found.items() if run in evidence.runs}


def reported(evidence: Evidence) -> Table:
    """One row per run that was both reported and measured."""
    header = [
        "run",
        "reported test accuracy",
        "measured test accuracy",
        "measured minus reported (percentage points)",
        "reported training loss",
        "measured training loss",
        "reported training accuracy",
        "measured training accuracy",
        "reported time per epoch",
        "measured time per epoch",
    ]
    rows = []
    for run, there in _both(evidence).items():
        here = evidence.runs[run]
        accuracy = here["test_accuracy"].mean()
        rows.append(
            [
                evidence.labels[run],
                percent(there.test_accuracy),
                percent(accuracy),
                difference(accuracy - there.test_accuracy),
                number(there.train_loss),
                number(here["train_loss"].mean()),
                percent(there.train_accuracy),
                percent(here["train_accuracy"].mean()),
                duration(there.seconds_per_epoch),
                duration(here["seconds_per_epoch"].mean()),
            ]
        )
    return Table(header, rows)


def reported_limits(evidence: Evidence) -> list[str]:
    """Why reported and measured results may not be comparable."""
    both = _both(evidence)
    if not both or not evidence.reference:
        return []
    synthetic = [run for run in evidence.synthetic_weights if run in both]
    collapsed = [run for run in evidence.collapsed if run in both]
    return [
        *_other_data(evidence, evidence.reference),
        *_other_epochs(evidence, evidence.reference, list(both)),
        *([f"{listed(synthetic)} started from synthetic weights here."] if synthetic else []),
        *([f"{listed(collapsed)} collapsed here."] if collapsed else []),
        *(["Fewer images were used here."] if evidence.statistics.limit else []),
        "Times per epoch depend on the machine: compare them within one column only.",
    ]


def _other_data(evidence: Evidence, reference: Reference) -> list[str]:
    source = evidence.dataset.source
    if source == reference.dataset:
        return []
    return [
        f"The data differ ({reference.dataset} there, {source} here): accuracies and losses cannot be "
        "compared at all."
    ]


def _other_epochs(evidence: Evidence, reference: Reference, both: list[str]) -> list[str]:
    trained = {run: set(evidence.runs[run]["epochs"]) for run in both}
    other = [run for run, epochs in trained.items() if epochs != {reference.epochs}]
    if not other:
        return []
    numbers = sorted(set().union(*(trained[run] for run in other)))
    return [
        f"The numbers of epochs differ ({reference.epochs} there; "
        f"{listed([str(epochs) for epochs in numbers])} here for {listed(other)}): the accuracies are "
        "not those of equal training."
    ]
