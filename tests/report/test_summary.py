"""The few lines that the console shows of a finished study."""

from pathlib import Path

import pandas as pd
from twinbench.report.summary import summary

ROW = {
    "model": "alexnet32",
    "weights": "none",
    "test_accuracy": 0.84,
    "accuracy_low": 0.8328,
    "accuracy_high": 0.8472,
    "total_seconds": 725.0,
    "status": "completed",
}
REPORT = Path("results/study/report.md")


def lines(*rows: dict, answer: tuple[str, ...] = ()) -> list[str]:
    return summary(pd.DataFrame([ROW | row for row in rows]), answer, REPORT)


def test_each_run_is_a_row_in_columns_with_its_interval_and_time():
    header, first, second, *_ = lines({"run": "a"}, {"run": "long-name", "weights": "imagenet"})
    assert " ".join(first.split()) == "a alexnet32 none 84.00 % (83.28 to 84.72) 12 min 05 s"
    assert {row.index("alexnet32") for row in (first, second)} == {header.index("network")}


def test_seeds_are_one_row_and_a_collapse_is_named():
    rows = [{"run": "a", "test_accuracy": 0.1 * k, "status": "collapsed"} for k in (1, 2)]
    (row,) = [line for line in lines(*rows) if line.startswith("a ")]
    assert "15.00 % collapsed" in row and "nan" not in row


def test_the_answer_fits_a_terminal_and_the_page_comes_last():
    found = lines({"run": "a"}, answer=("word " * 60,))
    assert max(map(len, found)) <= 79
    assert " ".join(found).count("word") == 60
    assert found[-1] == "The report: results/study/report.md"
