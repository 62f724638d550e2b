"""How numbers and names are written: the one place for decimals, units and signs."""

import math
from collections.abc import Sequence

import pandas as pd

_FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}


def percent(fraction: float) -> str:
    """A fraction from 0 to 1 as `70.93 %`; NaN as `-`."""
    return "-" if math.isnan(fraction) else f"{100 * fraction:.2f} %"


def percent_interval(low: float, high: float) -> str:
    """Two fractions from 0 to 1 as `70.02 to 71.81 %`; NaN as `-`."""
    return "-" if math.isnan(low) else f"{100 * low:.2f} to {100 * high:.2f} %"


def difference(fraction: float) -> str:
    """A difference of fractions in percentage points, without the unit: `2.09`."""
    return f"{100 * fraction + 0.0:.2f}"


def difference_interval(low: float, high: float) -> str:
    """An interval of such a difference, without the unit: `-0.54 to 0.56`; NaN as `-`."""
    return "-" if math.isnan(low) else f"{difference(low)} to {difference(high)}"


def percentage_points(fraction: float) -> str:
    """A difference of fractions with its unit: `2.09 percentage points`."""
    return f"{difference(fraction)} percentage points"


def margin(fraction: float) -> str:
    """A margin of accuracy: `1 percentage point`, `0.5 percentage points`."""
    return f"{100 * fraction:g} percentage point{'' if math.isclose(fraction, 0.01) else 's'}"


def p_value(value: float) -> str:
    """`p = 0.012`, `p < 0.001`; NaN as `-`."""
    if math.isnan(value):
        return "-"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def number(value: float, decimals: int = 3) -> str:
    """A number with fixed decimals; NaN as `-`."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def duration(seconds: float) -> str:
    """Seconds as `8.4 s`, `5 min 33 s` or `1 h 02 min`; NaN as `-`."""
    if math.isnan(seconds):
        return "-"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


def plural(count: int, word: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def framework(name: str) -> str:
    """A framework as it writes itself: `PyTorch`."""
    return _FRAMEWORKS.get(name, name)


def label(run: str, rows: pd.DataFrame) -> str:
    """A run with what a reader must know wherever its name stands: `a (synthetic weights)`.

    `rows` are its rows of the metrics, one per seed.
    """
    collapsed = int((rows["status"] == "collapsed").sum())
    marks = [
        *(["synthetic weights"] if (rows["weights"] == "synthetic").any() else []),
        *([_collapsed(collapsed, len(rows))] if collapsed else []),
    ]
    return f"{run} ({', '.join(marks)})" if marks else run


def _collapsed(collapsed: int, seeds: int) -> str:
    return "collapsed" if seeds == 1 else f"collapsed in {collapsed} of {seeds} seeds"
