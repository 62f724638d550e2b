"""Results that somebody reported elsewhere, beside the measured ones, and why they differ."""

import numpy as np
from scipy import special

from twinbench.analysis.comparisons import Comparison
from twinbench.analysis.metrics import wilson_interval
from twinbench.analysis.spread import PUBLISHED
from twinbench.config.reference import Reference, ReportedRun
from twinbench.report.blocks import Block, Bullets, Cell, Row, Table, Text
from twinbench.report.evidence import Evidence
from twinbench.report.outcomes import accuracy

_LOSS_OF_GUESSING = 0.05  # nats from ln(classes)


def reported(evidence: Evidence) -> list[Block]:
    """Nothing unless the study has runs with reported results."""
    reference = evidence.reference
    found = reference.runs if reference else {}
    both = {run: there for run, there in found.items() if run in evidence.results.runs}
    if not reference or not both:
        return []
    say = evidence.say
    header = [
        say("run"),
        say("reported"),
        say("here"),
        say("difference"),
        say("time per epoch there, here"),
    ]
    rows = [_row(evidence, reference, run, there) for run, there in both.items()]
    explained = say(
        "The reported accuracies have the intervals that {images} test images alone give (Wilson,"
        " 95 %).",
        images=say.whole(reference.test_images),
    )
    reasons = [
        *_other_study(evidence, reference, both),
        *_single_trainings(evidence, reference, both),
        *_at_chance(evidence, reference, both),
        *_confounded(evidence, both),
    ]
    return [
        Text(f"*{say(reference.title)}.* {say(reference.note)}"),
        Table("reported", header, rows),
        Text(explained),
        Bullets(reasons),
    ]


def _row(evidence: Evidence, reference: Reference, run: str, there: ReportedRun) -> Row:
    say, rows = evidence.say, evidence.results.runs[run]
    here = evidence.results.accuracies[run]
    low, high = _interval(reference, there)
    seconds = rows["seconds_per_epoch"].mean()
    comparable = evidence.dataset.kind == reference.dataset
    comparable &= run not in evidence.results.collapsed
    gap = here.mean - there.test_accuracy if comparable else np.nan
    return [
        evidence.labels[run],
        Cell(say.estimate(there.test_accuracy, low, high), 100 * there.test_accuracy),
        accuracy(evidence, run),
        Cell(say.points(gap), 100 * gap),
        Cell(", ".join(map(say.duration, (there.seconds_per_epoch or np.nan, seconds))), seconds),
    ]


def _interval(reference: Reference, there: ReportedRun) -> tuple[float, float]:
    return wilson_interval(
        round(there.test_accuracy * reference.test_images), reference.test_images
    )


def _other_study(
    evidence: Evidence, reference: Reference, both: dict[str, ReportedRun]
) -> list[str]:
    """What makes the two incomparable, or less so."""
    say, found = evidence.say, []
    same = evidence.dataset.kind == reference.dataset
    if not same:
        found.append(
            say(
                "**Different images** (`{here}` here, `{there}` there): accuracies cannot be "
                "compared.",
                here=evidence.dataset.kind,
                there=reference.dataset,
            )
        )
    elif reference.dataset == "cifar10" and not evidence.settings.official_archive:
        found.append(
            say(
                "**The archive is not the official one**: if its images are not CIFAR-10's, accuracies "
                "cannot be compared."
            )
        )
    if same and evidence.statistics.limit:
        found.append(say("**Fewer images** were used here."))
    models = [model for model in evidence.results.models if model.run in both]
    epochs = sorted({model.provenance.epochs_run for model in models if not model.collapsed})
    if epochs and epochs != [reference.epochs]:
        found.append(
            say(
                "**Different lengths**: {here} epochs here, {there} there.",
                here=say.listed([str(count) for count in epochs]),
                there=reference.epochs,
            )
        )
    return found


def _single_trainings(
    evidence: Evidence, reference: Reference, both: dict[str, ReportedRun]
) -> list[str]:
    """What the reported difference of twins is worth, where both learned there and here, on like images."""
    if evidence.dataset.kind != reference.dataset:
        return []
    pairs = [
        pair
        for pair in evidence.contrasts.values()
        if pair.question == "framework"
        and {pair.run_a, pair.run_b} <= both.keys()
        and not any(_guessed(evidence, reference, both[run]) for run in (pair.run_a, pair.run_b))
    ]
    return [_single_training(evidence, reference, both, pair) for pair in pairs]


def _single_training(
    evidence: Evidence, reference: Reference, both: dict[str, ReportedRun], pair: Comparison
) -> str:
    """The reach of luck: the half-width of the interval of one pair of equal methods whose mistakes fall
    together as often as those of this study's twins, by the published spread."""
    say = evidence.say
    a, b = both[pair.run_a].test_accuracy, both[pair.run_b].test_accuracy
    discordant = (pair.only_a_correct + pair.only_b_correct) / (pair.seeds * evidence.images)
    error = np.sqrt(discordant / reference.test_images + 2 * PUBLISHED.std**2)
    reach = float(special.stdtrit(PUBLISHED.degrees_of_freedom, 0.975) * error)
    return say(
        "**One training each**: {a} and {b} are {gap} apart, and luck alone, of training and of test "
        "images, could explain a gap of up to {reach} (95 %), since little is known of the spread there.",
        a=say.percent(a, 2),
        b=say.percent(b, 2),
        gap=say.points(abs(a - b)),
        reach=say.points(reach),
    )


def _guessed(evidence: Evidence, reference: Reference, there: ReportedRun) -> bool:
    """Whether a reported accuracy is that of guessing."""
    low, high = _interval(reference, there)
    return low <= evidence.results.chance <= high


def _at_chance(evidence: Evidence, reference: Reference, both: dict[str, ReportedRun]) -> list[str]:
    say, classes = evidence.say, len(evidence.results.class_names)
    return [
        say(
            "**{run} had collapsed there**: {accuracy} right and a training loss of {loss} are what "
            "guessing gives (ln {classes} = {chance}). Its learning rate was most likely too high: "
            "`config/collapse.yaml` shows that beside the cure.",
            run=run,
            accuracy=say.percent(there.test_accuracy, 2),
            loss=say.number(there.train_loss, 4),
            classes=classes,
            chance=say.number(float(np.log(classes)), 4),
        )
        for run, there in both.items()
        if _guessed(evidence, reference, there)
        and there.train_loss is not None
        and abs(there.train_loss - np.log(classes)) < _LOSS_OF_GUESSING
    ]


def _confounded(evidence: Evidence, both: dict[str, ReportedRun]) -> list[str]:
    say = evidence.say
    pairs = [
        pair
        for pair in evidence.unplanned
        if {"framework", "network"} <= set(pair.factors.split(", "))
        and "weights" not in pair.factors.split(", ")
        and {pair.run_a, pair.run_b} <= both.keys()
    ]
    return [
        say(
            "**{a} and {b} differ in the network as well as in the framework**, there and here: no cause "
            "of their difference can be named. `config/unconfounded.yaml` compares like with like.",
            a=pair.run_a,
            b=pair.run_b,
        )
        for pair in pairs
    ]
