"""What all figures share: how a run looks, numbers on axes, notes, and the files.

Colour is the framework, everywhere. Runs of one framework differ in their markers, which twins share;
lines are dashed and markers filled or hollow by the initial weights.
"""

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, MaxNLocator
from PIL import Image

from twinbench.analysis import naming
from twinbench.analysis.study_results import StudyResults
from twinbench.files import written_atomically
from twinbench.language import Language

WIDTH = 7.0  # inches: text of 9 points keeps 12 pixels where a page shows it 680 pixels wide
SMALL = 8  # points
LINE = 0.165  # inches that a line of text takes
GREY, BAND = "#666666", "#E4E4E4"
# Okabe and Ito's colours, which colour-blind readers can distinguish; yellow is too pale for lines.
_COLOURS = {"pytorch": "#D55E00", "tensorflow": "#0072B2"}
_FURTHER_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "*")
_MOST_COLOURS = 8000  # of an image that a palette can show
_LETTERS_IN_WIDTH = 115

_RC: dict[Any, Any] = {
    "font.size": 9,
    "text.parse_math": False,  # a name may hold any sign
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.labelcolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.borderaxespad": 0.2,
    "legend.handlelength": 3,
    "lines.linewidth": 1.5,
    "lines.markersize": 6,
    "savefig.facecolor": "white",
    "svg.hashsalt": "twinbench",
}


@dataclass(frozen=True)
class Look:
    """How a run is drawn; `group` is the number that it shares with its twins in other frameworks."""

    name: str
    colour: str
    group: int
    pretrained: bool
    hollow: bool

    @property
    def line(self) -> str:
        return "--" if self.pretrained else "-"

    @property
    def marks(self) -> dict[str, Any]:
        """Matplotlib's keywords for the run's markers."""
        return {
            "color": self.colour,
            "marker": MARKERS[self.group % len(MARKERS)],
            "markerfacecolor": "white" if self.hollow else self.colour,
        }


def looks(results: StudyResults, say: Language) -> dict[str, Look]:
    """How each run looks: in the order of the config, but twins side by side."""
    frameworks = dict.fromkeys(model.provenance.framework for model in results.first.values())
    further = [name for name in frameworks if name not in _COLOURS]
    colours = _COLOURS | dict(zip(further, cycle(_FURTHER_COLOURS), strict=False))
    groups: dict[tuple, int] = {}
    repetitions: Counter[tuple] = Counter()
    found = {}
    for run, model in results.first.items():
        provenance = model.provenance
        settings = {name: value for name, value in provenance.settings.items() if name != "device"}
        recipe = (
            provenance.model,
            provenance.weights.identity,
            json.dumps(settings, sort_keys=True),
        )
        same = (provenance.framework, *recipe)
        group = (*recipe, repetitions[same])
        repetitions[same] += 1
        found[run] = Look(
            name=naming.marked(results, run, say),
            colour=colours[provenance.framework],
            group=groups.setdefault(group, len(groups)),
            pretrained=provenance.weights.source != "none",
            hollow=provenance.weights.source == "synthetic",
        )
    return dict(sorted(found.items(), key=lambda item: item[1].group))


def styled() -> AbstractContextManager:
    """Within the block figures are drawn in the style of the study."""
    return mpl.rc_context({**mpl.rcParamsDefault, **_RC, "backend": "agg"})


def save(draw: Callable[[], Figure], stem: Path, dpi: int) -> None:
    """Write a figure in each format as `<stem>.<format>`, the same bytes for the same numbers."""
    # A date or a version in the file would change its bytes without a change of content.
    metadata = {"Date": None, "Creator": None}
    with styled():
        figure = draw()
        with written_atomically(stem.with_suffix(".svg")) as path:
            figure.savefig(path, metadata=metadata)
        figure.set_layout_engine("none")  # it is laid out
        with written_atomically(stem.with_suffix(".png")) as path:
            figure.set_dpi(dpi)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
            # A palette makes the file a third as large, but spoils photographs.
            if image.getcolors(_MOST_COLOURS):
                image = image.quantize(256, dither=Image.Dither.NONE)
            image.save(path, optimize=True)


def new_figure(height: float) -> Figure:
    """A figure of the common width; its height is in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def panels(
    count: int, height: float, titles: list[str], x: str = "", y: str = ""
) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes in two columns, each so many inches high below the longest of the
    titles. They share the vertical axis, called `y`; the horizontal ones are called `x`."""
    columns = min(2, count)
    rows = -(-count // columns)
    figure = new_figure(rows * (height + LINE * lines_of(titles)) + 0.5)
    grid = figure.add_gridspec(rows, columns)
    found: list[Axes] = []
    for place in range(count):
        ax = figure.add_subplot(grid[divmod(place, columns)], sharey=found[0] if found else None)
        ax.tick_params(labelleft=place % columns == 0)
        ax.set_ylabel("" if place % columns else y)
        ax.set_xlabel("" if place + columns < count else x)
        found.append(ax)
    return figure, found


def wrapped(text: str, letters: int) -> str:
    """The text in lines of so many letters at most, if it is longer with its bracket on a new line."""
    parts = [text] if len(text) <= letters else text.replace(" (", "\n(").split("\n")
    return "\n".join(line for part in parts for line in textwrap.wrap(part, letters))


def lines_of(texts: list[str]) -> int:
    """The number of lines of the longest text."""
    return max(text.count("\n") + 1 for text in texts)


def write_note(figure: Figure, *sentences: str) -> None:
    """What a reader must know to read the figure, below it; empty sentences are left out."""
    text = wrapped(" ".join(filter(None, sentences)), _LETTERS_IN_WIDTH)
    figure.supxlabel(text, x=0.01, ha="left", fontsize=SMALL, color=GREY)


def some_of(shown: int, total: int, say: Language) -> str:
    """That a figure shows the first of many runs."""
    if shown == total:
        return ""
    return say("The first {shown} of {total} runs.", shown=say.whole(shown), total=say.whole(total))


def row_height(texts: list[str]) -> float:
    """In inches, for the longest of the texts beside the rows."""
    return LINE * lines_of(texts) + 0.16


def write_rows(ax: Axes, left: list[str], right: list[str], above: float) -> None:
    """What stands left and right of each row, the first one on top, `above` rows below the edge."""
    ax.set_yticks(range(len(left)), left)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.spines["left"].set_visible(False)
    ax.set_ylim(len(left) - 0.4, -above)
    for place, text in enumerate(right):
        ax.text(1.02, place, text, transform=ax.get_yaxis_transform(), va="center")


class _Numbers(Formatter):
    """Ticks with as many decimals as all of them need, the values multiplied by `factor`."""

    def __init__(self, say: Language, factor: float, unit: str) -> None:
        self._say, self._factor, self._unit = say, factor, unit

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        shown = np.asarray(values) * self._factor
        decimals = next((d for d in range(6) if np.allclose(shown, shown.round(d), atol=1e-7)), 6)
        return [self._say.number(value, decimals) + self._unit for value in shown]


def number_axis(axis: Axis, say: Language, factor: float = 1, unit: str = "") -> None:
    """Round ticks, `factor` times their values, in the reader's language."""
    axis.set_major_locator(MaxNLocator(nbins=7, steps=(1, 2, 5, 10)))
    axis.set_major_formatter(_Numbers(say, factor, unit))


def percent_axis(axis: Axis, say: Language) -> None:
    """An axis of fractions, as percentages."""
    number_axis(axis, say, 100, " %")
