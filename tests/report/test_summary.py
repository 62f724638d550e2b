"""The few lines that the console shows of a finished study."""

from pathlib import Path

from twinbench.language import Language
from twinbench.report.blocks import Cell, Report, Section, Table
from twinbench.report.summary import summary


def test_the_console_shows_the_results_the_answer_and_the_page():
    rows = [["a", Cell("84.0 %", 84.0)], ["long-name", Cell("9.0 %", 9.0)]]
    results = Section("results", "Results", [Table("results", ["run", "accuracy"], rows)])
    report = Report("", "", ["**Question?** " + "word " * 40], [], [], [results], [])
    lines = summary(report, Path("results/study/report.html"), Language()).splitlines()
    assert lines[:3] == ["run        accuracy", "a          84.0 %", "long-name  9.0 %"]
    assert max(map(len, lines)) <= 79 and "**" not in " ".join(lines)
    assert " ".join(lines).count("word") == 40
    assert lines[-1] == "The report: results/study/report.html"
