"""What the runs get wrong: classes, confusions, single images, and how sure they are of it."""

import numpy as np

from twinbench.analysis.metrics import CALIBRATION_BINS, wilson_interval
from twinbench.report.blocks import Block, Cell, Row, Table, Text
from twinbench.report.evidence import Evidence

_MOST_RUNS = 6  # columns of a table
_MOST_CONFUSIONS = 3


def mistakes(evidence: Evidence) -> list[Block]:
    say = evidence.say
    runs = evidence.results.sound
    if not runs:
        return []
    shown = runs[:_MOST_RUNS]
    blocks: list[Block] = [
        Table(
            "classes",
            [say("class"), *(evidence.labels[run] for run in shown)],
            [_class(evidence, place, shown) for place in range(len(evidence.results.class_names))],
        ),
        Text(
            say(
                "Images of each class that are classified correctly, with 95 % intervals for "
                "other test images alone (Wilson)."
            )
        ),
    ]
    if len(runs) > len(shown):
        blocks.append(Text(say("The first {count} runs.", count=len(shown))))
    confused = [[evidence.labels[run], _confused(evidence, run)] for run in runs]
    blocks.append(Table("confusions", [say("run"), say("most frequent confusions")], confused))
    return [
        *blocks,
        *evidence.figure(
            "confusion", say("Which classes are taken for which, without the correct answers")
        ),
        *evidence.figure(
            "pictures", say("Images that only some runs get right, and images that none does")
        ),
    ]


def _class(evidence: Evidence, place: int, runs: list[str]) -> Row:
    """The images of a class that each run gets right. Seeds share their images, so the interval is that
    of one seed's number of them."""
    say, cells = evidence.say, []
    for run in runs:
        counts = evidence.results.confusions[run][place]
        images = int(counts.sum()) // evidence.seeds
        right = counts[place] / max(counts.sum(), 1)
        low, high = wilson_interval(round(right * images), images) if images else (np.nan, np.nan)
        cells.append(Cell(say.estimate(right if images else np.nan, low, high), 100 * right))
    return [say(evidence.results.class_names[place]), *cells]


def _confused(evidence: Evidence, run: str) -> str:
    say, names = evidence.say, evidence.results.class_names
    fractions = evidence.results.mistakes[run]
    order = np.argsort(-fractions, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    found = [
        say(
            "{true} taken for {predicted} ({share})",
            true=say(names[row]),
            predicted=say(names[column]),
            share=say.percent(fractions[row, column], 0),
        )
        for row, column in zip(*np.unravel_index(order, fractions.shape), strict=True)
        if fractions[row, column] > 0
    ]
    return "; ".join(found) or say("none")


def calibration(evidence: Evidence) -> list[Block]:
    say = evidence.say
    runs = evidence.results.sound
    if not runs:
        return []
    header = [
        say("run"),
        say("accuracy minus confidence"),
        say("negative log-likelihood"),
        say("Brier score"),
        say("calibration error (by chance)"),
    ]
    rows = [_calibration(evidence, run) for run in runs]
    cautious = [run for run in runs if evidence.results.runs[run]["calibration_gap_low"].min() > 0]
    bold = [run for run in runs if evidence.results.runs[run]["calibration_gap_high"].max() < 0]
    texts = [
        say(
            "Below zero a network is overconfident; above zero it is right more often than its "
            "confidence says. Intervals are for other test images alone."
        ),
        *([say("Overconfident: {runs}.", runs=say.listed(bold))] if bold else []),
        *([say("Underconfident: {runs}.", runs=say.listed(cautious))] if cautious else []),
        *(
            [say("Label smoothing makes networks underconfident on purpose.")]
            if cautious
            and any(evidence.provenance[run].settings.get("label_smoothing") for run in cautious)
            else []
        ),
        say(
            "The calibration error (over {bins} bins, Guo et al. 2017) is above zero even for a "
            "perfectly calibrated network: its value for such a network, on as many images, is in"
            " parentheses.",
            bins=CALIBRATION_BINS,
        ),
    ]
    blocks: list[Block] = [Table("calibration", header, rows), Text(" ".join(texts))]
    return blocks + evidence.figure("reliability", say("Accuracy against confidence, by bins"))


def _calibration(evidence: Evidence, run: str) -> Row:
    say, found = evidence.say, evidence.results.runs[run].mean(numeric_only=True)
    gap, low, high = (found[f"calibration_gap{end}"] for end in ("", "_low", "_high"))
    return [
        evidence.labels[run],
        Cell(f"{say.points(gap)} ({say.interval(low, high, 1)})", 100 * gap),
        Cell(say.number(found["test_loss"]), found["test_loss"]),
        Cell(say.number(found["brier_score"]), found["brier_score"]),
        Cell(
            f"{say.points(found['expected_calibration_error'])} "
            f"({say.points(found['calibration_error_by_chance'])})",
            100 * found["expected_calibration_error"],
        ),
    ]
