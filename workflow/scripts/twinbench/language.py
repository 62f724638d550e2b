"""The language of the report and its figures: texts by a catalogue, numbers as its readers write them."""

import math
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import PoFileError, read_po
from babel.numbers import format_decimal, get_decimal_symbol

from twinbench.errors import InputError

# Of numbers in prose, not of versions and assignments.
_DECIMALS = re.compile(r"(?<![\w.=])(\d+)\.(\d+(?:e[-+]\d+)?)(?!\w|\.\d)")
_FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}


class Language:
    """Calling it gives a text in this language: `say("{count} images", count=10)`.

    Texts stand in the code in English; `catalogue`, a .po file, has them in another language. A text
    that is not in it stays English. Raises `InputError` if the catalogue is no such file.
    """

    def __init__(self, code: str = "en", catalogue: Path | None = None) -> None:
        self.code = code
        self._catalogue = read_catalogue(catalogue, code) if catalogue else Catalog(code)

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

    def recorded(self, text: str, fragments: Iterable[str]) -> str:
        """A text that was put together elsewhere, in English, of `fragments`, whole words each; what it
        has beside them stays, but for decimal points."""
        for fragment in sorted(fragments, key=len, reverse=True):
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(fragment))
            text = re.sub(rf"(?<!\w){pattern}(?!\w)", partial(self._fragment, fragment), text)
        return _DECIMALS.sub(rf"\1{get_decimal_symbol(self.code)}\2", text)

    def _fragment(self, fragment: str, found: re.Match[str]) -> str:
        return self(fragment, **found.groupdict())

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

    def short(self, value: float) -> str:
        """Two significant digits: `0.25`, `1e-05`."""
        return self.recorded(f"{value:.2g}", ())

    def percent(self, fraction: float, decimals: int = 1) -> str:
        """A fraction from 0 to 1: `70.9 %`."""
        return "-" if math.isnan(fraction) else f"{self.number(100 * fraction, decimals)} %"

    def estimate(self, value: float, low: float, high: float) -> str:
        """An accuracy with its interval, fractions: `70.9 % (70.0 to 71.8)`."""
        decimals = decimals_of(low, high)
        if math.isnan(low):
            return self.percent(value, decimals)
        return f"{self.percent(value, decimals)} ({self.interval(low, high, decimals)})"

    def interval(self, low: float, high: float, decimals: int) -> str:
        """An interval of fractions in percent or percentage points, without the unit: `70.0 to 71.8`."""
        if math.isnan(low):
            return "-"
        ends = {"low": self.number(100 * low, decimals), "high": self.number(100 * high, decimals)}
        return self("{low} to {high}", **ends)

    def points(self, fraction: float, decimals: int = 1) -> str:
        """A difference of fractions: `2.1 pp`, percentage points."""
        unit = self("pp")
        return "-" if math.isnan(fraction) else f"{self.number(100 * fraction, decimals)} {unit}"

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
        minutes, rest = divmod(round(seconds), 60)
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


def read_catalogue(path: Path, code: str) -> Catalog:
    """Read a .po file. Raises `InputError` if it is none, or a translation has other placeholders."""
    try:
        with open(path, "rb") as file:
            catalogue = read_po(file, locale=code, abort_invalid=True)
        for message in catalogue:
            _check_placeholders(message)
    except (FileNotFoundError, PoFileError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: no catalogue of texts ({reason}); restore it, or set report.language: en"
        ) from None
    return catalogue


def _check_placeholders(message: Message) -> None:
    """Raises `ValueError` if a translation would not take the values of the text."""
    if not (message.id and message.string):
        return
    wanted = placeholders(*_forms(message.id))
    if extra := placeholders(*_forms(message.string)) - wanted:
        raise ValueError(f"{_forms(message.id)[0]!r} has no {{{min(extra)}}}")


def _forms(text: str | Sequence[str]) -> Sequence[str]:
    return (text,) if isinstance(text, str) else text


def placeholders(*texts: str) -> set[str]:
    """The names in braces. Raises `ValueError` for a brace without its counterpart."""
    return {name for text in texts for _, name, *_ in Formatter().parse(text) if name is not None}


def decimals_of(low: float, high: float) -> int:
    """How many decimals of a percentage an interval of fractions supports."""
    width = 100 * (high - low)
    if math.isnan(width):
        return 1
    return 0 if width >= 10 else 1 if width >= 0.5 else 2
