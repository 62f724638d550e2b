"""What a report is made of. Texts hold inline Markdown alone: emphasis, code, links."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A text of a table with the number behind it, by which the page sorts and which it lets download."""

    text: str
    value: float


Row = Sequence[str | Cell]


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Bullets:
    texts: list[str]


@dataclass(frozen=True)
class Code:
    text: str


@dataclass(frozen=True)
class Table:
    """Rows as long as the header; `name` is that of the file that the page lets download."""

    name: str
    header: list[str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Figure:
    """A figure by its name, with what it shows in words."""

    name: str
    description: str


@dataclass(frozen=True)
class Folded:
    """What only some readers want: shut until they open it."""

    summary: str
    blocks: list["Block"]


Block = Text | Bullets | Code | Table | Figure | Folded


@dataclass(frozen=True)
class Section:
    """A part with a heading; `name` is its anchor, the same in every language."""

    name: str
    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Badge:
    """A fact that decides how far to trust the study: `good` or a reason for doubt, None if neither."""

    text: str
    good: bool | None


@dataclass(frozen=True)
class Report:
    """`appendices` are files of their own beside the Markdown, and folded in the page."""

    title: str
    introduction: str
    answer: list[str]
    badges: list[Badge]
    opening: list[Block]
    sections: list[Section]
    appendices: list[Section]
