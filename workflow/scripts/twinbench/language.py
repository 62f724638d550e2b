"""The language of the report and its figures: texts by a catalogue, numbers as its readers write them."""

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

_FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}


def translatable(text: str) -> str:
    """Mark a text that is translated where it is used; it stays as it is."""
    return text


class Language:
    """Calling it gives a text in this language: `say("{count} images", count=10)`.

    Texts stand in the code in English; `catalogue`, a .po file, has them in another language. A text
    that is not in it stays English.
    """

    def __init__(self, code: str = "en", catalogue: Path | None = None) -> None:
        self.code = code
        self._catalogue = Catalog(code)
        if catalogue:
            with open(catalogue, "rb") as file:
                self._catalogue = read_po(file, locale=code, abort_invalid=True)

    def __call__(self, text: str, /, **values: object) -> str:
        found = self._catalogue.get(text)
        translated = found.string if found and found.string else text
        return str(translated).format(**values) if values else str(translated)

    def plural(self, one: str, many: str, count: int, **values: object) -> str:
        """The text for one or for several; `{count}` in it is the number."""
        found = self._catalogue.get(one)
        forms = found.string if found and found.string else (one, many)
        singular, several = forms[0], forms[1]
        text = singular if count == 1 else several
        return str(text).format(count=self.whole(count), **values)

    # --- Numbers; NaN as `-` -------------------------------------------------------------------

    def number(self, value: float, decimals: int = 3) -> str:
        """`0.689`."""
        if math.isnan(value):
            return "-"
        rounded = round(value, decimals) + 0.0  # no minus before zero
        form = f"#,##0.{'0' * decimals}" if decimals else "#,##0"
        return format_decimal(rounded, format=form, locale=self.code)

    def whole(self, value: float) -> str:
        """`45,000`."""
        return self.number(value, 0)

    def percent(self, fraction: float, decimals: int = 1) -> str:
        """A fraction from 0 to 1: `70.9 %`."""
        return "-" if math.isnan(fraction) else f"{self.number(100 * fraction, decimals)} %"

    def estimate(self, value: float, low: float, high: float) -> str:
        """An accuracy with its interval, fractions: `70.9 % (70.0 to 71.8)`."""
        decimals = decimals_of(low, high)
        if math.isnan(low):
            return self.percent(value, decimals)
        return f"{self.percent(value, decimals)} ({self.interval(low, high, decimals)})"

    def interval(self, low: float, high: float, decimals: int | None = None) -> str:
        """An interval of fractions in percent or percentage points, without the unit: `70.0 to 71.8`."""
        if math.isnan(low):
            return "-"
        decimals = decimals_of(low, high) if decimals is None else decimals
        ends = (self.number(100 * end, decimals) for end in (low, high))
        return self("{low} to {high}", **dict(zip(("low", "high"), ends, strict=True)))

    def points(self, fraction: float, decimals: int = 1) -> str:
        """A difference of fractions: `2.1 pp`, percentage points."""
        return (
            "-" if math.isnan(fraction) else f"{self.number(100 * fraction, decimals)} {self('pp')}"
        )

    def margin(self, fraction: float) -> str:
        """A difference that somebody set, with the digits that it has: `1 pp`, `0.25 pp`."""
        digits = f"{100 * fraction:.6g}".partition(".")[2]
        return self.points(fraction, len(digits))

    def p_value(self, value: float) -> str:
        """`0.012`, `< 0.001`."""
        return f"< {self.number(0.001)}" if value < 0.001 else self.number(value)

    def duration(self, seconds: float) -> str:
        """`8.4 s`, `5 min 33 s`, `1 h 02 min`."""
        if math.isnan(seconds):
            return "-"
        if seconds < 9.95:
            return f"{self.number(seconds, 1)} s"
        whole = timedelta(seconds=round(seconds))
        minutes, rest = divmod(int(whole.total_seconds()), 60)
        if minutes == 0:
            return f"{rest} s"
        if minutes < 60:
            return f"{minutes} min {rest:02d} s"
        return f"{minutes // 60} h {minutes % 60:02d} min"

    # --- Words ---------------------------------------------------------------------------------

    def listed(self, words: Sequence[str]) -> str:
        """`a`, `a and b`, `a, b and c`."""
        *head, last = words
        return self("{first} and {last}", first=", ".join(head), last=last) if head else last

    def framework(self, name: str) -> str:
        """A framework as it writes itself: `PyTorch`."""
        return _FRAMEWORKS.get(name, name)


def decimals_of(low: float, high: float) -> int:
    """How many decimals of a percentage an interval of fractions supports."""
    width = 100 * (high - low)
    if math.isnan(width):
        return 1
    return 0 if width >= 10 else 1 if width >= 0.5 else 2
