"""What a study found, in a few lines of plain text for the end of a run on the console."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from twinbench.analysis.metrics import accuracy_interval
from twinbench.analysis.wording import duration, percent, percent_interval

_WIDTH = 79


def summary(metrics: pd.DataFrame, answer: Sequence[str], report: Path) -> list[str]:
    """The lines: a table of the runs, the answer's sentences, and the page to open.

    `metrics` is the study's metrics.csv: a row for each run and seed. Times are means over the seeds.
    """
    header = ["run", "network", "weights", "test accuracy (interval)", "time"]
    rows = [_row(str(run), found) for run, found in metrics.groupby("run", sort=False)]
    sentences = [line for text in answer for line in textwrap.wrap(text, _WIDTH)]
    return [*_table([header, *rows]), "", *sentences, "", f"The report: {report}"]


def _row(run: str, rows: pd.DataFrame) -> list[str]:
    accuracy, low, high = accuracy_interval(rows)
    interval = "" if pd.isna(low) else f" ({percent_interval(low, high).removesuffix(' %')})"
    collapsed = " collapsed" if (rows["status"] == "collapsed").any() else ""
    return [
        run,
        str(rows["model"].iloc[0]),
        str(rows["weights"].iloc[0]),
        f"{percent(accuracy)}{interval}{collapsed}",
        duration(rows["total_seconds"].mean()),
    ]


def _table(rows: list[list[str]]) -> list[str]:
    """Rows of texts as lines, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
