"""Figures of the training: accuracy by epoch, and by the time that it took."""

from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from twinbench.analysis.plotting import (
    GREY,
    LINE,
    SMALL,
    Look,
    new_figure,
    number_axis,
    panels,
    percent_axis,
    some_of,
    wrapped,
    write_note,
)
from twinbench.analysis.study_results import StudyResults
from twinbench.language import Language
from twinbench.texts import translatable

_FEWEST_EPOCHS = 3  # fewer are points, not a curve
_MOST_RUNS, _MOST_RUNS_IN_ONE = 20, 10
_FAR_APART = 10  # times that differ so much need a logarithmic axis
_LETTERS = 28  # of a line in a legend of two columns
# Seconds in a unit of time, and from how many on it is used.
_UNITS = (
    (3600, 3 * 3600, translatable("hours of training")),
    (60, 180, translatable("minutes of training")),
    (1, 0, translatable("seconds of training")),
)


def curves(results: StudyResults) -> dict[str, pd.DataFrame]:
    """The histories of the runs that have enough epochs for a curve, with the seconds `elapsed`."""
    return {
        run: history.assign(elapsed=history.groupby("seed")["seconds"].cumsum())
        for run, history in results.histories.items()
        if history["epoch"].max() >= _FEWEST_EPOCHS
    }


# --- By epoch ----------------------------------------------------------------------------------


def learning_curves(
    results: StudyResults, found: dict[str, pd.DataFrame], styles: dict[str, Look], say: Language
) -> Figure:
    """Accuracy on the training and validation split by epoch; twins share a panel."""
    drawn = {run: look for run, look in styles.items() if run in found}
    groups: dict[int, list[str]] = {}
    for run in list(drawn)[:_MOST_RUNS]:
        groups.setdefault(drawn[run].group, []).append(run)
    names = ["\n".join(_legend_name(drawn[run]) for run in group) for group in groups.values()]
    figure, axes = panels(len(groups), 2.1, names, say("epoch"), say("accuracy"))
    changed = False
    for ax, group in zip(axes, groups.values(), strict=True):
        for above, run in enumerate(reversed(group)):
            _draw_history(ax, found[run], drawn[run], above)
        changed |= _mark_changes(ax, found[group[0]], say)
        handles = [_handle(drawn[run]) for run in group]
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1))
        percent_axis(ax.yaxis, say)
        number_axis(ax.xaxis, say)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if changed:  # room for the words below the curves
        low, high = axes[0].get_ylim()
        axes[0].set_ylim(low - 0.2 * (high - low), high)
    write_note(
        figure,
        say("With markers: validation. Dotted: training, on augmented images and with dropout."),
        say("Bands: lowest to highest seed.") if len(results.seeds) > 1 else "",
        some_of(min(len(drawn), _MOST_RUNS), len(drawn), say),
        _too_short(len(styles) - len(drawn), say),
    )
    return figure


def _draw_history(ax: Axes, history: pd.DataFrame, look: Look, above: int) -> None:
    """Training and validation; `above` so many twins are drawn, whose curves may coincide."""
    table = history.groupby("epoch")[["train_accuracy", "validation_accuracy"]]
    mean, low, high = table.mean(), table.min(), table.max()
    dots = (2 * above, (1, 3))  # those of twins alternate
    ax.plot(mean.index, mean["train_accuracy"], linestyle=dots, color=look.colour)
    ax.plot(
        mean.index,
        mean["validation_accuracy"],
        look.line,
        linewidth=_width(above),
        markersize=5 + 4 * above,
        zorder=3 - 0.1 * above,
        markevery=max(1, len(mean) // 6),
        **look.marks,
    )
    if history["seed"].nunique() > 1:
        ends = low["validation_accuracy"], high["validation_accuracy"]
        ax.fill_between(mean.index, *ends, color=look.colour, alpha=0.15, linewidth=0)


def _mark_changes(ax: Axes, history: pd.DataFrame, say: Language) -> bool:
    """Mark where another phase or image size begins, at the bottom; whether there is such a place."""
    first = history[history["seed"] == history["seed"].iloc[0]]
    rows = first[["epoch", "phase", "input_size"]].to_dict("records")
    changes = [
        (after["epoch"] - 0.5, text)
        for before, after in pairwise(rows)
        if (text := _change(before, after, say))
    ]
    for place, (epoch, text) in enumerate(changes):
        ax.axvline(epoch, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        late = epoch > 0.6 * rows[-1]["epoch"]
        ax.annotate(
            text,
            (epoch, 0.02 + 0.09 * (place % 2)),
            (-3 if late else 3, 0),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha="right" if late else "left",
            fontsize=SMALL,
            color=GREY,
        )
    return bool(changes)


def _change(before: dict, after: dict, say: Language) -> str:
    phases, sizes = ((before[name], after[name]) for name in ("phase", "input_size"))
    texts = []
    if phases[0] != phases[1]:
        texts.append(say("all layers") if phases[1] == "all" else say("head alone"))
    if sizes[0] != sizes[1]:
        texts.append(say("{size} pixels", size=say.whole(sizes[1])))
    return ", ".join(texts)


# --- By time -----------------------------------------------------------------------------------


def accuracy_time(
    results: StudyResults, found: dict[str, pd.DataFrame], styles: dict[str, Look], say: Language
) -> Figure:
    """Validation accuracy by elapsed time, and the test accuracy at the end of the training."""
    drawn = {run: look for run, look in styles.items() if run in found}
    shown = {run: drawn[run] for run in list(drawn)[:_MOST_RUNS_IN_ONE]}
    totals = [results.runs[run]["total_seconds"].mean() for run in shown]
    size, unit = next((size, unit) for size, least, unit in _UNITS if max(totals) >= least)
    lines = "\n".join(_legend_name(look) for look in shown.values()).count("\n") + 1
    figure = new_figure(3.9 + LINE * (lines // 2 + 1))
    ax = figure.subplots()
    groups = [look.group for look in shown.values()]
    for place, ((run, look), total) in enumerate(zip(shown.items(), totals, strict=True)):
        mean = found[run].groupby("epoch")[["elapsed", "validation_accuracy"]].mean()
        ax.plot(
            mean["elapsed"] / size,
            mean["validation_accuracy"],
            look.line,
            color=look.colour,
            linewidth=_width(groups[place + 1 :].count(look.group)),
        )
        end = results.accuracies[run].mean
        ax.plot(total / size, end, markersize=9, linestyle="none", **look.marks)
    percent_axis(ax.yaxis, say)
    number_axis(ax.xaxis, say)
    if max(totals) > _FAR_APART * min(totals):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(left=0)
    ax.set_xlabel(say(unit))
    ax.set_ylabel(say("accuracy"))
    figure.legend(
        handles=[_handle(look) for look in shown.values()], loc="outside upper left", ncols=2
    )
    write_note(
        figure,
        say("Lines: validation. Marks: test, at the end."),
        say("Means of the seeds.") if len(results.seeds) > 1 else "",
        some_of(len(shown), len(drawn), say),
        _too_short(len(styles) - len(drawn), say),
    )
    return figure


# --- Both --------------------------------------------------------------------------------------


def _width(above: int) -> float:
    """Of curves that may coincide those below others are wider, so that all are seen."""
    return 1.3 + 1.5 * above


def _legend_name(look: Look) -> str:
    return wrapped(look.name, _LETTERS)


def _handle(look: Look) -> Line2D:
    return Line2D([], [], label=_legend_name(look), ls=look.line, **look.marks)


def _too_short(count: int, say: Language) -> str:
    if not count:
        return ""
    return say.plural(
        "{count} run of fewer than three epochs is not drawn.",
        "{count} runs of fewer than three epochs are not drawn.",
        count,
    )
