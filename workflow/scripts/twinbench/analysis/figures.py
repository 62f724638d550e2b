"""The figures of a study. The same run looks the same in each: colour by its place in the config,
marker by framework, line by scratch (solid) or pretrained (dashed)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from scipy import stats

from twinbench.analysis import study
from twinbench.files import written_atomically

# Okabe and Ito's colours, which colour-blind readers can tell apart; yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = {False: ("-", ":"), True: ("--", "-.")}
WIDTH = 8.0  # inches
PERCENT = PercentFormatter(1, decimals=0, symbol=" %")
MOST_SEEDS_AS_POINTS = 30

RC = {
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
    """How one run is drawn; `face` is the fill of its markers."""

    label: str
    colour: str
    marker: str
    line: str
    face: str


def styles(metrics: pd.DataFrame) -> dict[str, Style]:
    """The style of each run, by its place in the metrics table."""
    frameworks = list(dict.fromkeys(metrics["framework"]))
    result = {}
    for place, (run, rows) in enumerate(metrics.groupby("run", sort=False)):
        cycle, colour = divmod(place, len(COLOURS))
        pretrained = bool((rows["weights"] != "none").any())
        framework = frameworks.index(rows["framework"].iloc[0])
        result[run] = Style(
            label=study.label(run, rows),
            colour=COLOURS[colour],
            marker=MARKERS[framework % len(MARKERS)],
            line=LINES[pretrained][cycle % 2],
            face="white" if cycle % 2 else COLOURS[colour],
        )
    return result


def draw_all(
    metrics: pd.DataFrame,
    histories: dict[str, pd.DataFrame],
    confusions: dict[str, np.ndarray],
    class_names: tuple[str, ...],
) -> dict[str, Callable[[], Figure]]:
    """The figures by name, each a function that draws it.

    `metrics` is the metrics table, `histories` the histories of each run one below the other with
    a column `seed`, `confusions` for each run the counts int (classes, classes).
    """
    drawn = styles(metrics)
    classes = len(class_names)
    return {
        "learning_curves": lambda: learning_curves(histories, metrics, drawn, classes),
        "accuracy": lambda: accuracy(metrics, drawn, classes),
        "confusion": lambda: confusion(confusions, drawn, class_names),
        "accuracy_time": lambda: accuracy_time(metrics, drawn, classes),
    }


def save(draw: Callable[[], Figure], stem: Path, style: dict[str, Any]) -> None:
    """Write a figure as `<stem>.<format>`, the same bytes for the same numbers.

    `style` holds `format`, a list of png and svg, and `dpi`.
    """
    with mpl.rc_context({**mpl.rcParamsDefault, **RC, "backend": "agg"}):
        figure = draw()
        for kind in style["format"]:
            # A date or a version in the file would change its bytes without a change of content.
            metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
            with written_atomically(stem.with_suffix(f".{kind}")) as path:
                figure.savefig(path, format=kind, dpi=style["dpi"], metadata=metadata)


def learning_curves(
    histories: dict[str, pd.DataFrame],
    metrics: pd.DataFrame,
    styles: dict[str, Style],
    classes: int,
) -> Figure:
    """Accuracy and loss of the training and validation split, by epoch."""
    figure = Figure(figsize=(WIDTH, 6.2), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for (row, measure), (column, split) in (
        (a, b) for a in enumerate(("accuracy", "loss")) for b in enumerate(("train", "validation"))
    ):
        ax = axes[row, column]
        for run, history in histories.items():
            _curve(ax, history, f"{split}_{measure}", styles[run])
        if measure == "accuracy":
            _mark_chosen(ax, histories, metrics, styles, split)
        _chance(ax, 1 / classes if measure == "accuracy" else np.log(classes), "y", column == 1)
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("cross-entropy loss (nats)")
    axes[0, 0].set_title("training split")
    axes[0, 1].set_title("validation split")
    axes[0, 0].yaxis.set_major_formatter(PERCENT)
    axes[0, 0].set_ylim(bottom=0)
    axes[1, 0].set_ylim(*_loss_range(histories, classes))
    for ax in axes[1]:
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    seeds = metrics["seed"].nunique()
    several = "line: mean of the seeds, band: lowest to highest"
    _legend(figure, styles, several if seeds > 1 else "ring: the epoch that was tested")
    return figure


def _curve(ax: Axes, history: pd.DataFrame, column: str, style: Style) -> None:
    by_epoch = history.groupby("epoch")[column].agg(["mean", "min", "max"])
    every = max(1, len(by_epoch) // 8)
    ax.plot(
        by_epoch.index,
        by_epoch["mean"],
        color=style.colour,
        linestyle=style.line,
        marker=style.marker,
        markerfacecolor=style.face,
        markevery=every,
    )
    if history["seed"].nunique() > 1:
        ax.fill_between(
            by_epoch.index,
            by_epoch["min"],
            by_epoch["max"],
            color=style.colour,
            alpha=0.12,
            linewidth=0,
        )


def _mark_chosen(
    ax: Axes,
    histories: dict[str, pd.DataFrame],
    metrics: pd.DataFrame,
    styles: dict[str, Style],
    split: str,
) -> None:
    """Ring the epoch whose weights were tested, where one seed leaves room for it."""
    if metrics["seed"].nunique() > 1 or split != "validation":
        return
    for run, history in histories.items():
        chosen = metrics.loc[metrics["run"] == run, "chosen_epoch"].iloc[0]
        point = history[history["epoch"] == chosen]
        ax.plot(
            point["epoch"],
            point["validation_accuracy"],
            "o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=styles[run].colour,
        )


def _loss_range(histories: dict[str, pd.DataFrame], classes: int) -> tuple[float, float]:
    """From 0 to the largest loss, but not so far that one bad epoch flattens all curves."""
    losses = pd.concat(histories.values())[["train_loss", "validation_loss"]].to_numpy()
    finite = losses[np.isfinite(losses)]
    chance = float(np.log(classes))
    return 0.0, 1.05 * max(chance * 1.05, min(float(finite.max(initial=chance)), 2 * chance))


def accuracy(metrics: pd.DataFrame, styles: dict[str, Style], classes: int) -> Figure:
    """Test accuracy of each run with its 95 % interval; with several seeds, a point a seed."""
    figure = Figure(figsize=(WIDTH, 1.3 + 0.5 * len(styles)), layout="constrained")
    ax = figure.subplots()
    for place, (run, style) in enumerate(styles.items()):
        rows = metrics[metrics["run"] == run]
        mean, low, high = accuracy_interval(rows)
        if len(rows) > 1:
            _seed_points(ax, rows["test_accuracy"].to_numpy(), place, style)
        ax.errorbar(
            mean,
            place,
            xerr=None if np.isnan(low) else [[mean - low], [high - mean]],
            color=style.colour,
            marker=style.marker,
            markerfacecolor=style.face,
            markersize=4,
            capsize=5,
        )
        right = mean < 0.5 * metrics["test_accuracy"].max()
        edge = mean if np.isnan(low) else (high if right else low)
        ax.annotate(
            _accuracy_words(mean, low, high),
            (edge, place),
            xytext=(10 if right else -10, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
        )
    _chance(ax, 1 / classes, "x", True)
    ax.set_yticks(
        range(len(styles)), [style.label.replace(" (", "\n(") for style in styles.values()]
    )
    ax.set_ylim(len(styles) - 0.4, -0.7)
    ax.grid(False, axis="y")
    ax.set_xlim(0, min(1.02, 1.06 * metrics["accuracy_high"].max()))
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel(f"test accuracy ({_interval_words(metrics)})")
    return figure


def _accuracy_words(mean: float, low: float, high: float) -> str:
    words = f"{100 * mean:.2f} %"
    return words if np.isnan(low) else f"{words} ({100 * low:.2f} to {100 * high:.2f})"


def _seed_points(ax: Axes, values: np.ndarray, place: int, style: Style) -> None:
    """One faint point a seed, below the run's line, spread by rank so that few points overlap."""
    offsets = 0.2 + 0.18 * ((np.arange(len(values)) * 0.618) % 1)
    ax.plot(values, place + offsets, ".", color=style.colour, alpha=0.5, markersize=4)


def _interval_words(metrics: pd.DataFrame) -> str:
    seeds = metrics["seed"].nunique()
    if seeds == 1:
        return f"bars: 95 % Wilson interval over {metrics['test_images'].iloc[0]:,} test images"
    if seeds == 2:
        return "mean of 2 seeds, dots: the seeds"
    return f"mean of {seeds} seeds, bars: 95 % t interval, dots: the seeds"


def accuracy_interval(rows: pd.DataFrame) -> tuple[float, float, float]:
    """The mean test accuracy of a run's rows and its 95 % interval, as fractions.

    One seed: Wilson's over the test images. Three and more: t over the seeds. Two: none (NaN).
    """
    values = rows["test_accuracy"]
    mean = float(values.mean())
    if len(values) == 1:
        return mean, float(rows["accuracy_low"].iloc[0]), float(rows["accuracy_high"].iloc[0])
    if len(values) == 2:
        return mean, np.nan, np.nan
    half = stats.t.ppf(0.975, len(values) - 1) * float(values.sem())
    return mean, mean - half, mean + half


def confusion(
    confusions: dict[str, np.ndarray], styles: dict[str, Style], class_names: tuple[str, ...]
) -> Figure:
    """A matrix for each run: a row a true class, the share of its images in percent."""
    columns = min(2, len(confusions))
    lines = -(-len(confusions) // columns)
    figure = Figure(figsize=(WIDTH if columns == 2 else 5, 4.1 * lines + 0.6), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax in axes[len(confusions) :]:
        ax.set_visible(False)
    for place, (ax, (run, counts)) in enumerate(zip(axes, confusions.items(), strict=False)):
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = ax.imshow(shares, cmap="cividis", vmin=0, vmax=1)
        ax.set_title(styles[run].label, color=styles[run].colour, fontweight="bold")
        _label_matrix(ax, shares, class_names, place % columns == 0)
    figure.colorbar(
        image,
        ax=list(axes),
        location="bottom",
        shrink=0.5,
        aspect=40,
        format=PERCENT,
        label="share of the true class (numbers: percent; under 0.5 left out)",
    )
    return figure


def _label_matrix(
    ax: Axes, shares: np.ndarray, class_names: tuple[str, ...], outermost: bool
) -> None:
    places = range(len(class_names))
    ax.set_xticks(places, class_names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    ax.set_yticks(places, class_names if outermost else [], fontsize=8)
    ax.set_xlabel("predicted class")
    if outermost:
        ax.set_ylabel("true class")
    ax.grid(False)
    ax.tick_params(length=0)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "black" if share > 0.5 else "white"
            text = f"{100 * share:.0f}"
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)


def accuracy_time(metrics: pd.DataFrame, styles: dict[str, Style], classes: int) -> Figure:
    """Test accuracy against the total training time of each run."""
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    ax = figure.subplots()
    for run, style in styles.items():
        rows = metrics[metrics["run"] == run]
        mean, low, high = accuracy_interval(rows)
        if 1 < len(rows) <= MOST_SEEDS_AS_POINTS:
            minutes = rows["total_seconds"] / 60
            ax.plot(minutes, rows["test_accuracy"], ".", color=style.colour, alpha=0.5)
        ax.errorbar(
            rows["total_seconds"].mean() / 60,
            mean,
            yerr=None if np.isnan(low) else [[mean - low], [high - mean]],
            color=style.colour,
            marker=style.marker,
            markerfacecolor=style.face,
            markersize=5,
            capsize=5,
        )
    _chance(ax, 1 / classes, "y", True)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(PERCENT)
    ax.set_ylabel("test accuracy")
    _time_axis(ax, metrics["total_seconds"] / 60)
    _legend(figure, styles, _interval_words(metrics), markers_only=True)
    return figure


def _time_axis(ax: Axes, minutes: pd.Series) -> None:
    """Linear from zero, or logarithmic where the runs are more than ten times apart."""
    if minutes.max() > 10 * minutes.min() > 0:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_xlabel("total training time (minutes, logarithmic)")
    else:
        ax.set_xlim(0, 1.08 * minutes.max())
        ax.set_xlabel("total training time (minutes)")


def _chance(ax: Axes, value: float, axis: str, named: bool) -> None:
    """The line that guessing would reach."""
    grey = {"color": "#666666", "zorder": 1}
    if axis == "x":
        ax.axvline(value, linewidth=1, linestyle=(0, (2, 2)), **grey)
        where, transform = (value, 0.99), ax.get_xaxis_transform()
        offset, place = (4, 0), {"ha": "left", "va": "top"}
    else:
        ax.axhline(value, linewidth=1, linestyle=(0, (2, 2)), **grey)
        where, transform = (0.995, value), ax.get_yaxis_transform()
        offset, place = (0, 2), {"ha": "right", "va": "bottom"}
    if named:
        ax.annotate(
            "chance",
            where,
            xycoords=transform,
            xytext=offset,
            textcoords="offset points",
            fontsize=8,
            **place,
            **grey,
        )


def _legend(
    figure: Figure, styles: dict[str, Style], note: str, markers_only: bool = False
) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=style.colour,
            marker=style.marker,
            markerfacecolor=style.face,
            linestyle="none" if markers_only else style.line,
            label=style.label,
        )
        for style in styles.values()
    ]
    # About 5 points a letter and 60 for the handle, of 72 points an inch.
    longest = max(len(style.label) for style in styles.values())
    columns = max(1, int(72 * WIDTH / (5 * longest + 60)))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(columns, len(handles)),
        handlelength=3.2,
        title=note or None,
        title_fontsize=9,
    )
