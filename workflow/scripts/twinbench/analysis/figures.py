"""The figures of a study."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from twinbench.analysis.metrics import accuracy_interval
from twinbench.analysis.plotting import PERCENT, WIDTH, Style, add_legend, draw_chance, run_styles
from twinbench.analysis.results import StudySettings
from twinbench.analysis.wording import percent, percent_interval

_MOST_SEEDS_AS_POINTS = 30


class FigureSettings(StudySettings):
    """`dpi`: the resolution of the PNG files, in dots per inch."""

    dpi: int


def figures(
    metrics: pd.DataFrame,
    histories: dict[str, pd.DataFrame],
    confusions: dict[str, np.ndarray],
    class_names: tuple[str, ...],
) -> dict[str, Callable[[], Figure]]:
    """The figures by name, each a function that draws it.

    `metrics` is the metrics table, `histories` the histories of each run one below the other with a
    column `seed`, `confusions` for each run the counts int (classes, classes).
    """
    looks, classes = run_styles(metrics), len(class_names)
    return {
        "learning_curves": lambda: learning_curves(histories, metrics, looks, classes),
        "accuracy": lambda: accuracy(metrics, looks, classes),
        "confusion": lambda: confusion(confusions, looks, class_names),
        "accuracy_time": lambda: accuracy_time(metrics, looks, classes),
    }


# --- Learning curves ---------------------------------------------------------------------------


def learning_curves(
    histories: dict[str, pd.DataFrame],
    metrics: pd.DataFrame,
    styles: dict[str, Style],
    classes: int,
) -> Figure:
    """Accuracy and loss of the training and validation split, by epoch."""
    figure = Figure(figsize=(WIDTH, 6.2), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    chance = {"accuracy": 1 / classes, "loss": float(np.log(classes))}
    for row, measure in enumerate(chance):
        for column, split in enumerate(("train", "validation")):
            ax = axes[row, column]
            for run, history in histories.items():
                _curve(ax, history, f"{split}_{measure}", styles[run])
            draw_chance(ax, chance[measure], "y", named=column == 1)
    several = metrics["seed"].nunique() > 1
    if not several:
        _mark_selected(axes[0, 1], histories, metrics, styles)
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("cross-entropy loss (nats)")
    axes[0, 0].set_title("training split")
    axes[0, 1].set_title("validation split")
    axes[0, 0].yaxis.set_major_formatter(PERCENT)
    axes[0, 0].set_ylim(bottom=0)
    axes[1, 0].set_ylim(0, _highest_loss(histories, chance["loss"]))
    for ax in axes[1]:
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    note = (
        "line: mean of the seeds, band: lowest to highest"
        if several
        else "ring: the epoch that was tested"
    )
    add_legend(figure, styles, note)
    return figure


def _curve(ax: Axes, history: pd.DataFrame, column: str, style: Style) -> None:
    by_epoch = history.groupby("epoch")[column].agg(["mean", "min", "max"])
    ax.plot(
        by_epoch.index,
        by_epoch["mean"],
        linestyle=style.line,
        markevery=max(1, len(by_epoch) // 8),
        **style.markers,
    )
    if history["seed"].nunique() > 1:
        low, high = by_epoch["min"], by_epoch["max"]
        ax.fill_between(by_epoch.index, low, high, color=style.colour, alpha=0.12, linewidth=0)


def _mark_selected(
    ax: Axes,
    histories: dict[str, pd.DataFrame],
    metrics: pd.DataFrame,
    styles: dict[str, Style],
) -> None:
    """Ring the epoch whose weights were tested; with several seeds there is no room for it."""
    for run, history in histories.items():
        selected = metrics.loc[metrics["run"] == run, "selected_epoch"].iloc[0]
        point = history[history["epoch"] == selected]
        ax.plot(
            point["epoch"],
            point["validation_accuracy"],
            "o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=styles[run].colour,
        )


def _highest_loss(histories: dict[str, pd.DataFrame], chance: float) -> float:
    """The end of the loss axis: the largest loss, unless one bad epoch would flatten all curves."""
    losses = pd.concat(histories.values())[["train_loss", "validation_loss"]].to_numpy()
    largest = float(losses[np.isfinite(losses)].max(initial=chance))
    return 1.05 * max(chance * 1.05, min(largest, 2 * chance))


# --- Accuracy ----------------------------------------------------------------------------------


def accuracy(metrics: pd.DataFrame, styles: dict[str, Style], classes: int) -> Figure:
    """Test accuracy of each run with its 95 % interval; with several seeds, one point per seed."""
    figure = Figure(figsize=(WIDTH, 1.3 + 0.5 * len(styles)), layout="constrained")
    ax = figure.subplots()
    highest = metrics["test_accuracy"].max()
    for place, (run, style) in enumerate(styles.items()):
        rows = metrics[metrics["run"] == run]
        if len(rows) > 1:
            _seed_points(ax, rows["test_accuracy"].to_numpy(), place, style)
        mean, low, high = accuracy_interval(rows)
        bars = None if np.isnan(low) else [[mean - low], [high - mean]]
        ax.errorbar(mean, place, xerr=bars, markersize=4, capsize=5, **style.markers)
        _accuracy_text(ax, mean, low, high, place, right=mean < 0.5 * highest)
    draw_chance(ax, 1 / classes, "x")
    ax.set_yticks(range(len(styles)), [style.narrow_label for style in styles.values()])
    ax.set_ylim(len(styles) - 0.4, -0.7)
    ax.grid(False, axis="y")
    ax.set_xlim(0, min(1.02, 1.06 * metrics["accuracy_high"].max()))
    ax.xaxis.set_major_formatter(PERCENT)
    ax.set_xlabel(f"test accuracy ({_interval_words(metrics)})")
    return figure


def _accuracy_text(ax: Axes, mean: float, low: float, high: float, place: int, right: bool) -> None:
    """The accuracy and its interval in figures, right or left of the bar."""
    text, edge = percent(mean), mean
    if not np.isnan(low):
        text += f" ({percent_interval(low, high).removesuffix(' %')})"
        edge = high if right else low
    ax.annotate(
        text,
        (edge, place),
        xytext=(10 if right else -10, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
    )


def _seed_points(ax: Axes, values: np.ndarray, place: int, style: Style) -> None:
    """One faint point per seed, below the run's line, spread so that few points overlap."""
    offsets = 0.2 + 0.18 * ((np.arange(len(values)) * 0.618) % 1)
    ax.plot(values, place + offsets, ".", color=style.colour, alpha=0.5, markersize=4)


def _interval_words(metrics: pd.DataFrame) -> str:
    seeds = metrics["seed"].nunique()
    if seeds == 1:
        return f"bars: 95 % Wilson interval over {metrics['test_images'].iloc[0]:,} test images"
    if seeds == 2:
        return "mean of 2 seeds, dots: the seeds"
    return f"mean of {seeds} seeds, bars: 95 % t interval, dots: the seeds"


def accuracy_time(metrics: pd.DataFrame, styles: dict[str, Style], classes: int) -> Figure:
    """Test accuracy against the total training time of each run."""
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    ax = figure.subplots()
    for run, style in styles.items():
        rows = metrics[metrics["run"] == run]
        minutes = rows["total_seconds"] / 60
        if 1 < len(rows) <= _MOST_SEEDS_AS_POINTS:
            ax.plot(minutes, rows["test_accuracy"], ".", color=style.colour, alpha=0.5)
        mean, low, high = accuracy_interval(rows)
        bars = None if np.isnan(low) else [[mean - low], [high - mean]]
        ax.errorbar(minutes.mean(), mean, yerr=bars, markersize=5, capsize=5, **style.markers)
    draw_chance(ax, 1 / classes, "y")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(PERCENT)
    ax.set_ylabel("test accuracy")
    _time_axis(ax, metrics["total_seconds"] / 60)
    add_legend(figure, styles, _interval_words(metrics), markers_only=True)
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


# --- Confusion ---------------------------------------------------------------------------------


def confusion(
    confusions: dict[str, np.ndarray], styles: dict[str, Style], class_names: tuple[str, ...]
) -> Figure:
    """A matrix for each run: true classes in rows, the fraction of their images in percent."""
    columns = min(2, len(confusions))
    lines = -(-len(confusions) // columns)
    figure = Figure(figsize=(WIDTH if columns == 2 else 5, 4.1 * lines + 0.6), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax in axes[len(confusions) :]:
        ax.set_visible(False)
    for place, (ax, (run, counts)) in enumerate(zip(axes, confusions.items(), strict=False)):
        fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = ax.imshow(fractions, cmap="cividis", vmin=0, vmax=1)
        ax.set_title(styles[run].narrow_label, color=styles[run].colour, fontweight="bold")
        _label_matrix(ax, fractions, class_names, leftmost=place % columns == 0)
    figure.colorbar(
        image,
        ax=list(axes),
        location="bottom",
        shrink=0.5,
        aspect=40,
        format=PERCENT,
        label="percentage of the true class's images; below 0.5 % not written",
    )
    return figure


def _label_matrix(
    ax: Axes, fractions: np.ndarray, class_names: tuple[str, ...], leftmost: bool
) -> None:
    places = range(len(class_names))
    ax.set_xticks(places, class_names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    ax.set_yticks(places, class_names if leftmost else [], fontsize=8)
    ax.set_xlabel("predicted class")
    if leftmost:
        ax.set_ylabel("true class")
    ax.grid(False)
    ax.tick_params(length=0)
    for (row, column), fraction in np.ndenumerate(fractions):
        if fraction >= 0.005:
            colour = "black" if fraction > 0.5 else "white"
            text = f"{100 * fraction:.0f}"
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
