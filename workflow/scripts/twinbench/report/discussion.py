"""What the numbers show beyond accuracy, what may be concluded, and why runs collapsed."""

import numpy as np

from twinbench.analysis.statistics import SEEDS_FOR_A_CLAIM
from twinbench.analysis.wording import duration, listed, number, percentage_points
from twinbench.report.evidence import Evidence

_MOST_PAIRS_LISTED = 15


def collapses(evidence: Evidence) -> list[str]:
    """What training found in each run and seed that collapsed."""
    several = evidence.seeds > 1
    return [
        f"**{model.run}**{f', seed {model.seed}' if several else ''}: {model.provenance.diagnosis}."
        for model in evidence.models
        if model.collapsed
    ]


def discussion(evidence: Evidence) -> list[str]:
    """Time, fit and calibration of the runs, and those that did not learn."""
    chance = np.log(len(evidence.class_names))
    stuck = [
        f"{run} did not learn: its training loss ends at "
        f"{number(evidence.runs[run]['train_loss'].mean())}, and guessing costs ln "
        f"{len(evidence.class_names)} = {chance:.3f}."
        for run in evidence.collapsed
    ]
    return [*_time(evidence), *_fit(evidence), *_calibration(evidence), *stuck]


def _time(evidence: Evidence) -> list[str]:
    if len(evidence.sound) < 2:
        return []
    seconds = {run: rows["total_seconds"].mean() for run, rows in evidence.sound.items()}
    fast, slow = _extremes(seconds)
    accuracies = [evidence.runs[run]["test_accuracy"].mean() for run in (slow, fast)]
    gain = accuracies[0] - accuracies[1]
    return [
        f"Time: {fast} is the fastest ({duration(seconds[fast])} in total), {slow} the slowest "
        f"({duration(seconds[slow])}, {seconds[slow] / max(seconds[fast], 1e-9):.1f} times as "
        f"long); the slowest reached {percentage_points(abs(gain))} "
        f"{'more' if gain >= 0 else 'less'} test accuracy."
    ]


def _fit(evidence: Evidence) -> list[str]:
    gaps = {
        run: (rows["train_accuracy"] - rows["test_accuracy"]).mean()
        for run, rows in evidence.sound.items()
    }
    if not gaps:
        return []
    _, widest = _extremes(gaps)
    if gaps[widest] <= 0:
        return ["Fit: no run has a higher training than test accuracy."]
    most = " (the most)" if len(gaps) > 1 else ""
    return [
        f"Fit: training accuracy exceeds test accuracy by {percentage_points(gaps[widest])} for "
        f"{widest}{most}."
    ]


def _calibration(evidence: Evidence) -> list[str]:
    errors = {
        run: rows["expected_calibration_error"].mean() for run, rows in evidence.sound.items()
    }
    if not errors:
        return []
    best, worst = _extremes(errors)
    off = percentage_points(errors[worst])
    text = f"Calibration: on average, confidence is off by {off} for {worst}"
    if best != worst:
        text += f" (the most) and by {percentage_points(errors[best])} for {best} (the least)"
    return [f"{text}."]


def _extremes(values: dict[str, float]) -> tuple[str, str]:
    """The names of the smallest and of the largest value."""
    return min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])


def conclusions(evidence: Evidence) -> list[str]:
    """What may be concluded, and what would settle the rest."""
    pairs = evidence.comparisons
    shown = [pair.verdict for pair in pairs if pair.outcome in ("a", "b", "equivalent")]
    findings = (
        [f"Of {len(pairs)} pairs, {len(shown)} show a difference or equivalence: see the table."]
        if len(pairs) > _MOST_PAIRS_LISTED
        else [*(f"Shown: {verdict}." for verdict in shown), *_not_shown(evidence)]
    )
    steps = next_steps(evidence)
    return [*findings, *([f"To settle more: {'; '.join(steps)}."] if steps else [])]


def _not_shown(evidence: Evidence) -> list[str]:
    words = {
        "none": "No difference shown, which does not mean equality",
        "undecided": "Left open by two seeds",
        "not compared": "Not compared, because a run collapsed",
    }
    found = []
    for outcome, reason in words.items():
        pairs = [
            f"{pair.run_a} and {pair.run_b}"
            for pair in evidence.comparisons
            if pair.outcome == outcome
        ]
        if pairs:
            found.append(f"{reason}: {'; '.join(pairs)}.")
    return found


def next_steps(evidence: Evidence) -> list[str]:
    """What to change to learn more."""
    steps = []
    if evidence.collapsed:
        steps.append(f"make {listed(evidence.collapsed)} train (first, lower the learning rate)")
    if len(evidence.runs) == 1:
        steps.append("add a run to compare it with")
    elif evidence.seeds < SEEDS_FOR_A_CLAIM:
        steps.append(f"use at least {SEEDS_FOR_A_CLAIM} seeds to compare the methods")
    if evidence.synthetic_weights:
        steps.append("use official weights (`weights: imagenet`) for the pretrained runs")
    if evidence.synthetic_images:
        steps.append("use the real images (`dataset.source: cifar10`)")
    return steps
