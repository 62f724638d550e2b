"""What all figures share: how a run looks, the line of chance, the legend, and the files.

The same run looks the same in each figure: colour by its place in the config, marker by framework, line
by scratch (solid) or pretrained (dashed).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from twinbench.analysis import wording
from twinbench.files import written_atomically

FORMATS = ("png", "svg")
WIDTH = 8.0  # inches
PERCENT = PercentFormatter(1, decimals=0, symbol=" %")
# Okabe and Ito's colours, which colour-blind readers can distinguish; yellow is too pale for lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = {False: ("-", ":"), True: ("--", "-.")}
_GREY = "#666666"

_RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.facecolor": "white",
    "svg.hashsalt": "twinbench",
}


@dataclass(frozen=True)
class Style:
    """How one run is plotted; `face` is the fill of its markers."""

    label: str
    colour: str
    marker: str
    line: str
    face: str

    @property
    def narrow_label(self) -> str:
        """The label with the marks on a line of their own."""
        return self.label.replace(" (", "\n(")

    @property
    def markers(self) -> dict[str, Any]:
        """Matplotlib's keywords for the run's markers."""
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": self.face}


def run_styles(metrics: pd.DataFrame) -> dict[str, Style]:
    """The style of each run, by its place in the metrics table."""
    frameworks = list(dict.fromkeys(metrics["framework"]))
    result = {}
    for place, (run, rows) in enumerate(metrics.groupby("run", sort=False)):
        cycle, colour = divmod(place, len(_COLOURS))
        pretrained = bool((rows["weights"] != "none").any())
        framework = frameworks.index(rows["framework"].iloc[0])
        result[str(run)] = Style(
            label=wording.label(str(run), rows),
            colour=_COLOURS[colour],
            marker=_MARKERS[framework % len(_MARKERS)],
            line=_LINES[pretrained][cycle % 2],
            face="white" if cycle % 2 else _COLOURS[colour],
        )
    return result


def save(draw: Callable[[], Figure], stem: Path, dpi: int) -> None:
    """Write a figure in each format as `<stem>.<format>`, the same bytes for the same numbers."""
    # A date or a version in the file would change its bytes without a change of content.
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    with mpl.rc_context({**mpl.rcParamsDefault, **_RC, "backend": "agg"}):
        figure = draw()
        for kind in FORMATS:
            with written_atomically(stem.with_suffix(f".{kind}")) as path:
                figure.savefig(path, format=kind, dpi=dpi, metadata=metadata[kind])


def draw_chance(ax: Axes, value: float, axis: str, named: bool = True) -> None:
    """The line that guessing would reach, at `value` on the axis x or y."""
    line: dict[str, Any] = {"color": _GREY, "zorder": 1, "linewidth": 1, "linestyle": (0, (2, 2))}
    place: dict[str, Any]
    if axis == "x":
        ax.axvline(value, **line)
        place = {"xy": (value, 0.99), "xytext": (4, 0), "ha": "left", "va": "top"}
        transform = ax.get_xaxis_transform()
    else:
        ax.axhline(value, **line)
        place = {"xy": (0.995, value), "xytext": (0, 2), "ha": "right", "va": "bottom"}
        transform = ax.get_yaxis_transform()
    if named:
        place |= {"xycoords": transform, "textcoords": "offset points"}
        ax.annotate("chance", **place, fontsize=8, color=_GREY, zorder=1)


def add_legend(
    figure: Figure, styles: dict[str, Style], note: str, markers_only: bool = False
) -> None:
    """A legend of all runs above the axes, with a note as its title."""
    handles = []
    for style in styles.values():
        look = style.markers | {"linestyle": "none" if markers_only else style.line}
        handles.append(Line2D([], [], label=style.label, **look))
    # About 5 points a letter and 60 for the handle, of 72 points an inch.
    longest = max(len(style.label) for style in styles.values())
    columns = max(1, int(72 * WIDTH / (5 * longest + 60)))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(columns, len(handles)),
        handlelength=3.2,
        title=note,
        title_fontsize=9,
    )
