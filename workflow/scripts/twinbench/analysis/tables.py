"""The study's tables as CSV. Text stays text: a run may be called 001, NA, null or 1e5."""

from collections import defaultdict
from pathlib import Path

import pandas as pd

from twinbench.analysis.reading import check_rows
from twinbench.errors import ANEW
from twinbench.files import readable, written_atomically


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index; an empty cell is NaN or empty text."""
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8")


def read(path: Path, columns: dict[str, type] | None = None) -> pd.DataFrame:
    """Read a table that `write` wrote; other columns than `columns`, with their types, are text.

    Raises `InputError` if one of the columns is missing or does not have its type.
    """
    columns = columns or {}
    types = defaultdict(lambda: str, columns)
    empty = {name: [""] for name, kind in columns.items() if kind is not str}
    with readable(path, ANEW):
        check_rows(path)
        table = pd.read_csv(
            path, dtype=types, keep_default_na=False, na_values=empty, encoding="utf-8"
        )
        if missing := [name for name in columns if name not in table.columns]:
            raise ValueError(f"column {', '.join(missing)} is missing")
    return table
