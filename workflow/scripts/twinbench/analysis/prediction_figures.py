"""Figures of the predictions: confused classes, pictures that tell runs apart, and calibration."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from twinbench.analysis import naming
from twinbench.analysis.plotting import (
    BAND,
    GREY,
    LINE,
    SMALL,
    Look,
    lines_of,
    new_figure,
    panels,
    percent_axis,
    some_of,
    wrapped,
    write_note,
)
from twinbench.analysis.statistics import QUANTILE
from twinbench.analysis.study_results import StudyResults
from twinbench.data.splits import Split
from twinbench.errors import InputError
from twinbench.language import Language

_MOST_RUNS = 10
_LETTERS = 28  # of a line above a panel
_LETTERS_OF_A_CLASS = 15
_WRITTEN = 0.02  # the least fraction that a confusion matrix has in figures
_FEWEST_IN_A_BIN = 10
_PICTURES = 6  # in a row


# --- Confusion ---------------------------------------------------------------------------------


def confusion(results: StudyResults, styles: dict[str, Look], say: Language) -> Figure:
    """For each run which true class (rows) was taken for which other one (columns)."""
    shown = dict(list(styles.items())[:_MOST_RUNS])
    names = [wrapped(say(name), _LETTERS_OF_A_CLASS) for name in results.class_names]
    most = max(float(results.mistakes[run].max()) for run in shown) or 1.0
    titles = [wrapped(look.name, _LETTERS) for look in shown.values()]
    figure, axes = panels(len(shown), 3.4, titles)
    classes: dict[str, Any] = {"ticks": range(len(names)), "fontsize": SMALL, "linespacing": 1.0}
    for ax, title, run in zip(axes, titles, shown, strict=True):
        _draw_mistakes(ax, results.mistakes[run], most, shown[run].colour, say)
        ax.set_title(title, color=shown[run].colour)
        ax.set_yticks(labels=names, **classes)
        ax.set_xticks(classes["ticks"], [])
    for ax in axes[-2:]:
        ax.set_xticks(labels=names, rotation=90, **classes)
    write_note(
        figure,
        say("Rows: true classes. Columns: predictions."),
        say("Percent of the row's images; correct ones are left blank."),
        some_of(len(shown), len(styles), say),
    )
    return figure


def _draw_mistakes(
    ax: Axes, fractions: np.ndarray, most: float, colour: str, say: Language
) -> None:
    """A matrix from white to the framework's colour at `most`, the larger fractions in figures."""
    shades = LinearSegmentedColormap.from_list("", ["white", colour])
    ax.imshow(fractions, cmap=shades, vmin=0, vmax=most)
    for (row, column), fraction in np.ndenumerate(fractions):
        if row == column:
            ax.plot(column, row, "s", color=BAND, markersize=9)
        elif fraction >= _WRITTEN:
            shade = "white" if fraction > 0.6 * most else "black"
            text = say.whole(100 * fraction)
            ax.text(column, row, text, ha="center", va="center", color=shade, fontsize=7)
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set(visible=True, color=BAND)


# --- Pictures ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PictureRow:
    """Images, uint8 (n, height, width, 3), with their true class and, in `colour`, the mistake."""

    title: str
    images: np.ndarray
    classes: list[str]
    mistakes: list[str]
    colour: str


def picture_rows(
    results: StudyResults, styles: dict[str, Look], split: Split, say: Language
) -> list[PictureRow]:
    """Images that only one of two runs gets right, and images that all runs get wrong.

    The runs are those of `styles`, none of them collapsed. An image counts for a run if most of its
    seeds agree; those come first on which most do, then in the order of the sample ids. Raises
    `InputError` if the split lacks images that were predicted.
    """
    places = {int(sample): place for place, sample in enumerate(split.sample_ids)}
    if missing := set(results.sample_ids.tolist()) - places.keys():
        raise InputError(
            f"the test split lacks sample {min(missing)}, which the runs predicted; delete its file "
            "and start again: it will be recreated"
        )
    rows = []
    for title, colour, chosen, mistakes in _choices(results, styles, say):
        if not chosen.size:
            continue
        at = [places[int(sample)] for sample in results.sample_ids[chosen]]
        names = [say(name) for name in results.class_names]
        classes, wrong = (
            [wrapped(names[label], _LETTERS_OF_A_CLASS) for label in labels]
            for labels in (results.labels[chosen], mistakes[chosen])
        )
        rows.append(PictureRow(title, split.images[at], classes, wrong, colour))
    return rows


def _choices(
    results: StudyResults, styles: dict[str, Look], say: Language
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """For each row its title, the colour of its mistakes, the places of its images, and for every
    image the most common mistake."""
    right = {run: results.correct[run].mean(axis=0) for run in styles}
    for side, context, run, other in _opponents(results, styles, say):
        mistakes, _ = _most_common_mistakes(results, [other])
        chosen = _first((right[run] > 0.5) & (right[other] < 0.5), right[run] - right[other])
        title = say("Only {side} is right", side=side)
        yield f"{title} ({context})" if context else title, styles[other].colour, chosen, mistakes
    if styles:
        mistakes, agreement = _most_common_mistakes(results, list(styles))
        chosen = _first(sum(right.values()) == 0, agreement)
        title = say("All runs are wrong") if len(styles) > 1 else say("Wrong")
        yield title, GREY, chosen, mistakes


def _opponents(
    results: StudyResults, styles: dict[str, Look], say: Language
) -> Iterator[tuple[str, str, str, str]]:
    """The two sides of the main contrast: what the side is called, what both have, its run, the other's.

    That is the first contrast of the frameworks, else the first planned one, else the two best runs.
    """
    planned = [pair for pair in results.compared if pair.planned]
    planned.sort(key=lambda pair: pair.question != "framework")
    if planned:
        pair = planned[0]
        a, b = naming.sides(results, pair, say)
        context = naming.contrast_names(results, planned, say)[0].context
        yield a, context, pair.run_a, pair.run_b
        yield b, context, pair.run_b, pair.run_a
    elif len(styles) > 1:
        a, b = sorted(styles, key=lambda run: -results.accuracies[run].mean)[:2]
        yield styles[a].name, "", a, b
        yield styles[b].name, "", b, a


def _most_common_mistakes(results: StudyResults, runs: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """For every image the class that it is most often taken for wrongly, and how often."""
    predicted = np.concatenate([results.predicted[run] for run in runs])
    classes = range(len(results.class_names))
    counts = np.stack([(predicted == label).sum(axis=0) for label in classes])
    counts[results.labels, np.arange(len(results.labels))] = 0
    return counts.argmax(axis=0), counts.max(axis=0)


def _first(fitting: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The places of the images that fit, those of the highest score, the first ones of equals."""
    order = np.argsort(-score, kind="stable")
    return order[fitting[order]][:_PICTURES]


def draw_pictures(rows: list[PictureRow], say: Language) -> Figure:
    """Rows of images, the true class above and the mistake below each."""
    lines = [lines_of(row.classes) + lines_of(row.mistakes) for row in rows]
    heights = [1.35 + LINE * count for count in lines]
    figure = new_figure(sum(heights) + 0.3)
    parts = figure.subfigures(len(rows), height_ratios=heights, squeeze=False)[:, 0]
    for part, row in zip(parts, rows, strict=True):
        part.suptitle(row.title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        axes = part.subplots(1, _PICTURES)
        for ax in axes[len(row.images) :]:
            ax.set_visible(False)
        for ax, *content in zip(axes, row.images, row.classes, row.mistakes, strict=False):
            image, label, mistake = content
            ax.imshow(image, interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
            ax.set_title(label, fontsize=SMALL, fontweight="normal")
            ax.set_xlabel(mistake, fontsize=SMALL, color=row.colour)
    write_note(figure, say("Above: the true class. Below: the mistake."))
    return figure


# --- Reliability -------------------------------------------------------------------------------


def reliability(results: StudyResults, styles: dict[str, Look], say: Language) -> Figure:
    """For each run the accuracy of predictions by their confidence, and how many there are of each."""
    shown = dict(list(styles.items())[:_MOST_RUNS])
    titles = [wrapped(look.name, _LETTERS) for look in shown.values()]
    figure, axes = panels(len(shown), 2.2, titles, say("confidence"), say("accuracy"))
    for ax, title, (run, look) in zip(axes, titles, shown.items(), strict=True):
        _draw_reliability(ax, results, run, look)
        ax.set_title(title, color=look.colour)
        for axis in (ax.xaxis, ax.yaxis):
            percent_axis(axis, say)
    write_note(
        figure,
        say("Band: where 95 % of the points of a perfectly calibrated network lie."),
        say("Bars: number of predictions."),
        say("Points: bins of {least} images or more.", least=_FEWEST_IN_A_BIN),
        some_of(len(shown), len(styles), say),
    )
    return figure


def _draw_reliability(ax: Axes, results: StudyResults, run: str, look: Look) -> None:
    predictions, correct, confidences = results.reliabilities[run]
    bins = len(predictions)
    ax.bar(
        (np.arange(bins) + 0.5) / bins,
        0.25 * predictions / predictions.max(),
        width=0.9 / bins,
        color="#CCCCCC",
    )
    # Several seeds predict the same images: together they are no more precise than one may be.
    images = predictions / len(results.correct[run])
    used = images >= _FEWEST_IN_A_BIN
    number = predictions[used]
    confidence, accuracy = confidences[used] / number, correct[used] / number
    half = QUANTILE * np.sqrt(confidence * (1 - confidence) / images[used])
    ends = np.clip([confidence - half, confidence + half], 0, 1)
    ax.fill_between(confidence, *ends, color=look.colour, alpha=0.2, linewidth=0)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 2)))
    ax.plot(confidence, accuracy, look.line, linewidth=1, markersize=5, **look.marks)
    ax.set(xlim=(0, 1), ylim=(0, 1))
