"""The benchmark's table: rows, and how they are written."""

import csv
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from twinbench import provenance
from twinbench.files import written_atomically
from twinbench.training.precision import processor_flags

Row = dict[str, Any]


class Quantity(NamedTuple):
    """What a number is."""

    what: str
    unit: str = ""
    note: str = ""


Sample = dict[Quantity, float]


def rows(section: str, samples: Iterable[Sample]) -> list[Row]:
    """A row for each quantity, with the median and the range of its values in all samples."""
    values: dict[Quantity, list[float]] = defaultdict(list)
    for sample in samples:
        for quantity, value in sample.items():
            values[quantity].append(value)
    return [
        {
            "section": section,
            "what": quantity.what,
            "median": statistics.median(found),
            "lowest": min(found),
            "highest": max(found),
            "n": len(found),
            "unit": quantity.unit,
            "note": quantity.note,
        }
        for quantity, found in values.items()
    ]


def write(table: list[Row], folder: Path) -> None:
    """Write bench.csv and bench.md."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        written_atomically(folder / "bench.csv") as path,
        open(path, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    with written_atomically(folder / "bench.md") as path:
        path.write_text(markdown(table), encoding="utf-8")


def markdown(table: list[Row]) -> str:
    """A table for each section, below a line about the machine."""
    lines = [f"Machine: {_machine()}", ""]
    for section in dict.fromkeys(row["section"] for row in table):
        lines += [
            f"## {section.capitalize()}",
            "",
            "| what | median | range |",
            "| --- | --- | --- |",
        ]
        lines += [line(row) for row in table if row["section"] == section]
        lines.append("")
    return "\n".join(lines)


def line(row: Row) -> str:
    """A row in Markdown."""
    what = f"{row['what']} ({row['note']})" if row["note"] else row["what"]
    median, lowest, highest = (_number(row[name]) for name in ("median", "lowest", "highest"))
    median = f"{median} {row['unit']}".strip()
    ends = f"{lowest} - {highest}" if row["n"] > 1 else ""
    return f"| {what} | {median} | {ends} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    flags = sorted({"avx512f", "avx512_bf16", "amx_bf16"} & processor_flags())
    return (
        f"{provenance.processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, {', '.join(flags) or 'no AVX-512'}; "
        f"{time.strftime('%Y-%m-%d')}"
    )
