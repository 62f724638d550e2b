"""The figures of a study: which there are, and what they are made from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from matplotlib.figure import Figure

from twinbench.analysis import training_figures
from twinbench.analysis.accuracy_figures import accuracy, contrasts
from twinbench.analysis.comparisons import ComparisonSettings
from twinbench.analysis.plotting import looks
from twinbench.analysis.prediction_figures import (
    confusion,
    draw_pictures,
    picture_rows,
    reliability,
)
from twinbench.analysis.study_results import StudyResults
from twinbench.analysis.training_figures import accuracy_time, learning_curves
from twinbench.config.reference import Reference
from twinbench.data.splits import Split
from twinbench.language import Language


class FigureSettings(ComparisonSettings):
    """`dpi`: the resolution of the PNG files, in dots per inch."""

    dpi: int
    language: Literal["en", "es"]


@dataclass(frozen=True)
class FigureData:
    """What the figures show. `margin` is the equivalence margin, a fraction; `split` the test split for the
    pictures, None: no pictures."""

    results: StudyResults
    margin: float
    reference: Reference | None
    split: Split | None


def figures(data: FigureData, say: Language) -> dict[str, Callable[[], Figure]]:
    """The figures that have something to show, by name, each a function that draws it.

    Raises `InputError` if the split lacks images that the runs predicted.
    """
    results = data.results
    styles = looks(results, say)
    planned = [pair for pair in results.compared if pair.planned]
    curves = training_figures.curves(results)
    sound = {run: look for run, look in styles.items() if run in results.sound}
    pictures = picture_rows(results, sound, data.split, say) if data.split else []
    found: dict[str, Callable[[], Figure]] = {}
    if planned:
        found["contrasts"] = partial(contrasts, results, planned, styles, data.margin, say)
    found["accuracy"] = partial(accuracy, results, styles, data.reference, say)
    if curves:
        found["learning_curves"] = partial(learning_curves, results, curves, styles, say)
        found["accuracy_time"] = partial(accuracy_time, results, curves, styles, say)
    if sound:
        found["confusion"] = partial(confusion, results, sound, say)
    if pictures:
        found["pictures"] = partial(draw_pictures, pictures, say)
    if sound:
        found["reliability"] = partial(reliability, results, sound, say)
    return found
