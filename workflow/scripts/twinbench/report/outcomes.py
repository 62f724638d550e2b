"""The results of each run: quality, cost, and what it gets right class by class."""

import numpy as np
import pandas as pd

from twinbench.analysis.metrics import accuracy_interval
from twinbench.analysis.wording import (
    duration,
    framework,
    listed,
    number,
    percent,
    percent_interval,
)
from twinbench.report.evidence import Evidence, Table

_WEIGHTS = {"none": "none (scratch)", "imagenet": "ImageNet", "file": "own file"}


def results(evidence: Evidence) -> Table:
    """Quality: one row per run, means over the seeds."""
    interval = {1: "95 % interval (Wilson)", 2: "range of 2 seeds"}
    return Table(
        [
            "run",
            "framework",
            "model",
            "initial weights",
            "test accuracy",
            interval.get(evidence.seeds, "95 % interval (t over seeds)"),
            "validation accuracy",
            "training accuracy",
            "test loss",
            "macro F1",
            "calibration error",
        ],
        [_result(evidence, run, rows) for run, rows in evidence.runs.items()],
    )


def _result(evidence: Evidence, run: str, rows: pd.DataFrame) -> list[str]:
    provenance = evidence.provenance[run]
    source = provenance.weights.source
    mean, low, high = accuracy_interval(rows)
    if len(rows) == 2:
        low, high = rows["test_accuracy"].min(), rows["test_accuracy"].max()
    return [
        evidence.labels[run],
        framework(provenance.framework),
        provenance.model,
        _WEIGHTS.get(source, source),
        percent(mean),
        percent_interval(low, high),
        percent(rows["validation_accuracy"].mean()),
        percent(rows["train_accuracy"].mean()),
        number(rows["test_loss"].mean()),
        number(rows["macro_f1"].mean()),
        number(rows["expected_calibration_error"].mean()),
    ]


def notes(evidence: Evidence) -> list[str]:
    """What the marks beside the runs' names mean."""
    collapsed = [
        f"collapsed: the numbers of {run} are shown for completeness and not compared "
        "(see [Why it collapsed](#why-it-collapsed))."
        for run in evidence.collapsed
    ]
    synthetic = "synthetic weights: pretrained here on synthetic images, not on ImageNet."
    return [*collapsed, *([synthetic] if evidence.synthetic_weights else [])]


def costs(evidence: Evidence) -> Table:
    """Cost: one row per run, means over the seeds."""
    header = [
        "run",
        "epochs (selected)",
        "time per epoch",
        "total time",
        "images per second",
        "parameters",
        "device",
    ]
    rows = [
        [
            evidence.labels[run],
            f"{rows['epochs'].mean():g} ({round(rows['selected_epoch'].mean(), 1):g})",
            duration(rows["seconds_per_epoch"].mean()),
            duration(rows["total_seconds"].mean()),
            f"{rows['images_per_second'].mean():,.0f}",
            f"{rows['parameters'].iloc[0]:,}",
            listed(sorted(set(rows["device"]))),
        ]
        for run, rows in evidence.runs.items()
    ]
    return Table(header, rows)


def classes(evidence: Evidence) -> Table:
    """The fraction of each class's test images that each run gets right."""
    recalls = {run: _recall(matrix) for run, matrix in evidence.confusions.items()}
    rows = [
        [name, *(percent(recall[place]) for recall in recalls.values())]
        for place, name in enumerate(evidence.class_names)
    ]
    return Table(["class", *(evidence.labels[run] for run in recalls)], rows)


def _recall(matrix: np.ndarray) -> np.ndarray:
    return np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)


def class_findings(evidence: Evidence) -> list[str]:
    """The best and the worst class of each run, and its most frequent confusion."""
    return [
        _class_finding(evidence, run, matrix)
        for run, matrix in evidence.confusions.items()
        if run not in evidence.collapsed
    ]


def _class_finding(evidence: Evidence, run: str, matrix: np.ndarray) -> str:
    recall, names = _recall(matrix), evidence.class_names
    best, worst = int(recall.argmax()), int(recall.argmin())
    mistakes = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(mistakes, 0)
    if not mistakes.any():
        return f"{evidence.labels[run]}: no mistakes."
    true, predicted = np.unravel_index(int(mistakes.argmax()), mistakes.shape)
    return (
        f"{evidence.labels[run]}: best on {names[best]} ({percent(recall[best])}), worst on "
        f"{names[worst]} ({percent(recall[worst])}); most frequent confusion: {names[true]} for "
        f"{names[predicted]} ({percent(mistakes[true, predicted])})."
    )
