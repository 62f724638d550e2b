"""How numbers are written: the one place for decimals, units and signs."""

import math
from collections.abc import Sequence


def percent(fraction: float) -> str:
    """A fraction 0-1 as `70.93 %`; an empty value as `-`."""
    return "-" if math.isnan(fraction) else f"{100 * fraction:.2f} %"


def percent_interval(low: float, high: float) -> str:
    """Two fractions 0-1 as `70.02 to 71.81 %`."""
    return "-" if math.isnan(low) else f"{100 * low:.2f} to {100 * high:.2f} %"


def points(difference: float) -> str:
    """A difference of two fractions in percentage points, without a unit: `2.09`."""
    return f"{100 * difference + 0.0:.2f}"


def margin(fraction: float) -> str:
    """A margin of accuracy in words: `1 point`, `0.5 points`."""
    return f"{100 * fraction:g} point{'' if math.isclose(fraction, 0.01) else 's'}"


def p_value(value: float) -> str:
    """`p = 0.012`, `p < 0.001` or, for an empty value, `-`."""
    if math.isnan(value):
        return "-"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def number(value: float, decimals: int = 3) -> str:
    """A number with fixed decimals; an empty value as `-`."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def duration(seconds: float) -> str:
    """Seconds as a person would say them: `8.4 s`, `5 min 33 s`, `1 h 02 min`."""
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
