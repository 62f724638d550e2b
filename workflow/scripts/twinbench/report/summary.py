"""What a study found, in a few lines of plain text for the end of a run on the console."""

import textwrap
from pathlib import Path

from twinbench.language import Language
from twinbench.report.blocks import Cell, Report, Table

_WIDTH = 79


def summary(report: Report, page: Path, say: Language) -> str:
    """The table of the results, the answer, and the page to open."""
    (results,) = (part for part in report.sections if part.name == "results")
    table = next(block for block in results.blocks if isinstance(block, Table))
    rows = [[c.text if isinstance(c, Cell) else c for c in row] for row in table.rows]
    answer = [
        line for text in report.answer for line in textwrap.wrap(text.replace("**", ""), _WIDTH)
    ]
    last = say("The report: {page}", page=page)
    return "\n".join([*_columns([table.header, *rows]), "", *answer, "", last, ""])


def _columns(rows: list[list[str]]) -> list[str]:
    """Rows of texts as lines, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
