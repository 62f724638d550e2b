"""Figures of the test accuracy: the planned contrasts, and each run's accuracy."""

import math
from dataclasses import astuple
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETLEFT

from twinbench.analysis import naming
from twinbench.analysis.comparisons import Comparison
from twinbench.analysis.metrics import Accuracy, wilson_interval
from twinbench.analysis.plotting import (
    BAND,
    GREY,
    SMALL,
    Look,
    new_figure,
    number_axis,
    percent_axis,
    row_height,
    some_of,
    wrapped,
    write_note,
    write_rows,
)
from twinbench.analysis.study_results import StudyResults
from twinbench.config.reference import Reference
from twinbench.language import Language, decimals_of

_MOST_CONTRASTS, _MOST_RUNS = 20, 40
Value = tuple[float, float, float]  # with its interval
_REPORTED = {"color": GREY, "marker": "D", "markersize": 5}
_LETTERS = 24  # of a line beside the axes
_FAR = 0.15  # what is so much less accurate than all runs stands at the edge


# --- Contrasts ---------------------------------------------------------------------------------


def contrasts(
    results: StudyResults,
    planned: list[Comparison],
    styles: dict[str, Look],
    margin: float,
    say: Language,
) -> Figure:
    """The difference of each planned contrast with its interval, question by question; if they are
    many, of those with the largest differences. `margin` is the equivalence margin, a fraction."""
    largest = sorted(planned, key=lambda pair: -abs(pair.difference))[:_MOST_CONTRASTS]
    questions: dict[str, list[Comparison]] = {}
    for pair in planned:
        if pair in largest:
            questions.setdefault(pair.question, []).append(pair)
    ends = [_shared_sides(results, pairs, say) for pairs in questions.values()]
    texts = [
        _row_texts(results, pairs, bool(shared), say)
        for pairs, shared in zip(questions.values(), ends, strict=True)
    ]
    # The ends' names stand above the first row.
    above = [1.4 if shared else 0.6 for shared in ends]
    heights = [
        (len(left) - 0.4 + space) * row_height(left + right)
        for (left, right), space in zip(texts, above, strict=True)
    ]
    figure = new_figure(sum(heights) + 0.5 * len(heights) + 0.8)
    axes = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    for place, (ax, (question, pairs)) in enumerate(zip(axes, questions.items(), strict=True)):
        _draw_pairs(ax, pairs, styles, margin)
        _write_ends(ax, ends[place], say)
        write_rows(ax, *texts[place], above=above[place])
        ax.set_title(naming.question(results, question, say), loc="left")
        number_axis(ax.xaxis, say, 100)
    axes[-1].set_xlabel(say("difference of test accuracy in percentage points (pp)"))
    counts = {"shown": say.whole(len(largest)), "total": say.whole(len(planned))}
    some = say("The {shown} largest of {total} differences.", **counts)
    write_note(
        figure,
        say("Grey: equivalent, less than {margin} apart.", margin=say.margin(margin)),
        say("Lines: intervals for new trainings."),
        say("Thick: these trained models alone.") if len(results.seeds) == 1 else "",
        some if len(largest) < len(planned) else "",
    )
    return figure


def _shared_sides(results: StudyResults, pairs: list[Comparison], say: Language) -> tuple[str, ...]:
    """What the two sides of all these contrasts are called; empty if they differ."""
    found = {naming.sides(results, pair, say) for pair in pairs}
    return found.pop() if len(found) == 1 else ()


def _row_texts(
    results: StudyResults, pairs: list[Comparison], shared: bool, say: Language
) -> tuple[list[str], list[str]]:
    """What stands left and right of each contrast; `shared`: the sides stand at the ends of the axis."""
    left = [
        wrapped(name.context if shared and name.context else str(name), _LETTERS)
        for name in naming.contrast_names(results, pairs, say)
    ]
    return left, [wrapped(_verdict(results, pair, say), _LETTERS) for pair in pairs]


def _verdict(results: StudyResults, pair: Comparison, say: Language) -> str:
    a, b = naming.sides(results, pair, say)
    words = {
        "a": say("{side} ahead", side=a),
        "b": say("{side} ahead", side=b),
        "equivalent": say("equivalent"),
        "open": say("open"),
    }
    return f"{say.points(pair.difference)}: {words[pair.verdict]}"


def _draw_pairs(ax: Axes, pairs: list[Comparison], styles: dict[str, Look], margin: float) -> None:
    """A point and its interval in each row, in the framework's colour if both runs have one."""
    ax.axvspan(-margin, margin, color=BAND, linewidth=0, zorder=0)
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    reach = 1.2 * margin
    for place, pair in enumerate(pairs):
        looks = styles[pair.run_a], styles[pair.run_b]
        colour = looks[0].colour if looks[0].colour == looks[1].colour else "black"
        ax.hlines(place, pair.difference_low, pair.difference_high, color=colour, linewidth=1.5)
        if not math.isnan(pair.trained_low):
            ax.hlines(place, pair.trained_low, pair.trained_high, color=colour, linewidth=4)
        face = "white" if any(look.hollow for look in looks) else colour
        ax.plot(pair.difference, place, "o", color=colour, markerfacecolor=face, markersize=8)
        reach = max(reach, -pair.difference_low, pair.difference_high)
    ax.set_xlim(-1.08 * reach, 1.08 * reach)


def _write_ends(ax: Axes, shared: tuple[str, ...], say: Language) -> None:
    """Above the first row which side is better at each end."""
    if not shared:
        return
    a, b = shared
    for x, text, side in (
        (0.01, say("← {side} better", side=b), "left"),
        (0.99, say("{side} better →", side=a), "right"),
    ):
        look: dict[str, Any] = {"ha": side, "va": "center", "fontsize": SMALL, "color": GREY}
        ax.text(x, -0.9, wrapped(text, _LETTERS), transform=ax.get_yaxis_transform(), **look)


# --- Accuracy ----------------------------------------------------------------------------------


def accuracy(
    results: StudyResults, styles: dict[str, Look], reference: Reference | None, say: Language
) -> Figure:
    """Test accuracy of each run with its interval, its seeds, and what was reported elsewhere.

    The axis spans the runs that did not collapse; what is far below them stands at its edge.
    """
    shown = list(styles)[:_MOST_RUNS]
    left = [wrapped(styles[run].name, _LETTERS) for run in shown]
    right = _estimates([results.accuracies[run] for run in shown], say)
    figure = new_figure((row_height(left) + 0.1) * len(shown) + 1)
    ax = figure.subplots()
    reported = _reported(results, reference, shown)
    low, high = _range(results, shown, list(reported.values()))
    edge = low - 0.06 * (high - low)
    chance = results.chance
    if edge < chance:
        ax.axvline(chance, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        ax.annotate(
            say("chance"),
            (chance, 1),
            (3, 0),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            va="top",
            fontsize=SMALL,
            color=GREY,
        )
    for place, run in enumerate(shown):
        look = styles[run].marks
        _draw_seeds(ax, place + 0.3, results.correct[run].mean(axis=1), look["color"], edge)
        _draw_value(ax, place, astuple(results.accuracies[run]), edge, look, say)
        if run in reported:
            _draw_value(ax, place - 0.28, reported[run], edge, _REPORTED, say)
    ax.set_xlim(edge - 0.02 * (high - low), high + 0.04 * (high - low))
    percent_axis(ax.xaxis, say)
    ax.set_xlabel(say("test accuracy"))
    write_rows(ax, left, right, above=0.6)
    write_note(
        figure,
        say("Lines: 95 % intervals."),
        say("Dots: seeds.") if len(results.seeds) > 1 else "",
        say("Grey: the reported values.") if reported else "",
        some_of(len(shown), len(styles), say),
    )
    return figure


def _estimates(found: list[Accuracy], say: Language) -> list[str]:
    """The accuracies with their intervals, all with as many decimals."""
    decimals = max(decimals_of(each.low, each.high) for each in found)
    return [
        f"{say.percent(each.mean, decimals)} ({say.interval(each.low, each.high, decimals)})"
        for each in found
    ]


def _reported(
    results: StudyResults, reference: Reference | None, shown: list[str]
) -> dict[str, Value]:
    """What was reported of each run, if it was on the same data, and its Wilson interval."""
    if reference is None or results.models[0].provenance.dataset.kind != reference.dataset:
        return {}
    images = reference.test_images
    values = {run: reference.runs[run].test_accuracy for run in shown if run in reference.runs}
    return {
        run: (value, *wilson_interval(round(value * images), images))
        for run, value in values.items()
    }


def _range(results: StudyResults, shown: list[str], reported: list[Value]) -> tuple[float, float]:
    """The lowest and the highest value that the axis spans."""
    sound = [run for run in shown if run not in results.collapsed] or shown
    values = [value for run in sound for value in results.correct[run].mean(axis=1)]
    values += [end for run in sound for end in astuple(results.accuracies[run])]
    least = min(values) - _FAR
    values += [end for each in reported for end in each if each[0] > least]
    return min(values), max(values)


def _draw_seeds(ax: Axes, place: float, values: np.ndarray, colour: str, edge: float) -> None:
    """A faint point for each of several seeds, at heights around `place` so that few overlap."""
    if len(values) > 1:
        heights = place + 0.15 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)
        inside = values >= edge
        ax.plot(values[inside], heights[inside], ".", color=colour, alpha=0.5, markersize=4)


def _draw_value(
    ax: Axes, place: float, value: Value, edge: float, look: dict[str, Any], say: Language
) -> None:
    """A value with its interval; below the axis an arrow at its edge, with the number."""
    mean, low, high = value
    if mean < edge:
        ax.plot(edge, place, marker=CARETLEFT, color=look["color"])
        ax.annotate(
            say.percent(mean),
            (edge, place),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=look["color"],
        )
        return
    ax.hlines(place, low, high, color=look["color"], linewidth=1.5)
    ax.plot(mean, place, **look)
