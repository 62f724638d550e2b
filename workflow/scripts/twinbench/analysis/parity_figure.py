"""The figure of the parity suite: how far the frameworks differ, check by check."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twinbench.analysis.plotting import (
    BAND,
    GREY,
    LINE,
    MARKERS,
    lines_of,
    new_figure,
    wrapped,
    write_note,
    write_rows,
)
from twinbench.language import Language
from twinbench.parity import comparing

_PASSED, _FAILED = "#444444", "#C00000"
_LETTERS = 34  # of a line beside the axes
_MOST_CASES = 10
_LARGEST = 6  # power of ten on the scale, and the negative of the smallest one


def draw_parity(parity: pd.DataFrame, say: Language) -> Figure:
    """Each check's error as a multiple of its tolerance, on a logarithmic scale, case by case.

    No error at all stands at the left edge; an error where none is tolerated, or one beyond the scale,
    at the right one.
    """
    cases = list(dict.fromkeys(comparing.case_labels(parity)))
    places = {case: place for place, case in enumerate(cases[:_MOST_CASES])}
    table = parity.assign(label=comparing.case_labels(parity))
    table = table[table["label"].isin(places)].assign(power=_powers)
    checks = list(dict.fromkeys(table["check"]))
    left = [wrapped(comparing.check_name(check, say), _LETTERS) for check in checks]
    right = [wrapped(_failures(table[table["check"] == check], say), 20) for check in checks]
    row = max(LINE * lines_of([*left, *right]) + 0.02, 0.09 * len(places))
    figure = new_figure(row * len(checks) + LINE * len(places) / 2 + 1.4)
    ax = figure.subplots()
    edges = _scale(ax, table["power"].to_numpy(), say)
    for (check, case), rows in table.groupby(["check", "label"], sort=False):
        place = places[case]
        offset = 0.7 * (place + 0.5) / len(places) - 0.35
        ax.plot(
            rows["power"].clip(*edges),
            [checks.index(check) + offset] * len(rows),
            MARKERS[place % len(MARKERS)],
            color=_PASSED if rows["passed"].all() else _FAILED,
            markersize=5,
            clip_on=False,
        )
    write_rows(ax, left, right, above=0.6)
    for beside, words in zip(zip(ax.get_yticklabels(), ax.texts, strict=True), right, strict=True):
        for text in beside:
            text.set_color(_FAILED if words else "black")
    ax.set_xlabel(say("error as a multiple of its tolerance"))
    for case, place in places.items():
        ax.plot([], [], MARKERS[place % len(MARKERS)], color=_PASSED, label=wrapped(case, 38))
    figure.legend(loc="outside upper left", ncols=2)
    first = say("The first {shown} of {total} cases.", shown=len(places), total=len(cases))
    write_note(
        figure,
        say("Grey: tolerated."),
        say("Red: fails.") if any(right) else "",
        first if len(places) < len(cases) else "",
    )
    return figure


def _powers(table: pd.DataFrame) -> np.ndarray:
    """The decimal logarithm of each error by its tolerance, within the scale: -inf without an error,
    inf beyond the scale or without a tolerance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.log10(table["max_error"].to_numpy() / table["tolerance"].to_numpy())
    within = np.where(powers > _LARGEST, np.inf, np.maximum(powers, -_LARGEST))
    return np.where(table["max_error"] == 0, -np.inf, within)


def _scale(ax: Axes, powers: np.ndarray, say: Language) -> tuple[float, float]:
    """Ticks at powers of ten; gives the places of no error, and of errors beyond the scale."""
    finite = powers[np.isfinite(powers)]
    low, high = int(np.floor(finite.min(initial=-1))), int(np.ceil(finite.max(initial=0)))
    step = -(-(high - low) // 5)
    shown = [*range(0, low - 1, -step), *range(step, high + 1, step)]
    ticks = {float(power): say.number(10.0**power, max(0, -power)) for power in shown}
    first, last = min(ticks) - step, max(ticks) + step
    ticks[first] = say.whole(0)
    end = max(high, 0) + 0.5
    if np.isposinf(powers).any():
        ticks[last] = f"> {ticks[last - step]}"
        end = last + 0.3 * step
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.set_xlim(first - 0.3 * step, end)
    ax.axvspan(first - 0.3 * step, 0, color=BAND, linewidth=0, zorder=0)
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    return first, last


def _failures(rows: pd.DataFrame, say: Language) -> str:
    """Which cases of a check fail, or how many."""
    failed = rows.loc[~rows["passed"], "label"]
    if len(failed) > 1:
        return say("fails in {count} of {total} cases", count=len(failed), total=len(rows))
    return say("fails: {case}", case=failed.iloc[0]) if len(failed) else ""
