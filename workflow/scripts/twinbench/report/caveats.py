"""What weakens a study, by what each is about."""

from collections.abc import Iterator

import numpy as np

from twinbench.analysis.spread import FEWEST_STEPS, steps
from twinbench.report.blocks import Block, Bullets
from twinbench.report.evidence import Evidence
from twinbench.training.recorded import CONDITIONS

_UNEVEN = 1.5  # times the mean size of a class
_Caveats = Iterator[tuple[str, str]]  # what it is about, and what to say


def caveats(evidence: Evidence) -> list[Block]:
    found = list(applying(evidence).values())
    return [Bullets(found)] if found else []


def applying(evidence: Evidence) -> dict[str, str]:
    """The caveats that apply, in the order of their weight."""
    parts = (_inputs, _seeds, _comparability, _hardware, _code)
    return {name: sentence for part in parts for name, sentence in part(evidence)}


def _inputs(evidence: Evidence) -> _Caveats:
    say, limit = evidence.say, evidence.statistics.limit
    if evidence.synthetic_images:
        text = say("The images are synthetic: accuracies say nothing about CIFAR-10.")
        yield "synthetic images", text
    if runs := evidence.synthetic_weights:
        text = say(
            "Synthetic weights ({runs}) were pretrained on a small synthetic data set: what ImageNet "
            "weights would gain is not measured.",
            runs=", ".join(runs),
        )
        yield "synthetic weights", text
    if limit is not None:
        text = say(
            "Only {limit} training and test images were used: accuracies are lower, and intervals "
            "wider, than with all.",
            limit=say.whole(limit),
        )
        yield "fewer images", text
    names, chance = evidence.results.class_names, evidence.results.chance
    if chance > _UNEVEN / len(names):
        text = say(
            "The classes are of unequal size: {name} as the answer to every image would be right for "
            "{fraction} of them. The metric macro_f1 weighs all classes alike.",
            name=say(names[np.bincount(evidence.results.labels).argmax()]),
            fraction=say.percent(chance),
        )
        yield "unequal classes", text


def _seeds(evidence: Evidence) -> _Caveats:
    say = evidence.say
    own = evidence.seeds - 1  # degrees of freedom; the others are those of the assumed spread
    pairs = evidence.contrasts.values()
    spreads = sorted({p.assumed_spread for p in pairs if p.degrees_of_freedom - own > own})
    if spreads:
        text = say(
            "With so few seeds the intervals of the contrasts rest mostly on an assumed spread "
            "between trainings, here {spreads} (docs/statistics.md).",
            spreads=say.listed([say.margin(spread) for spread in spreads]),
        )
        yield "few seeds", text


def _comparability(evidence: Evidence) -> _Caveats:
    say = evidence.say
    if any(steps(found) < FEWEST_STEPS for found in evidence.provenances):
        text = say(
            "Trainings of fewer than {steps} steps have hardly begun: from seed to seed their "
            "accuracies may vary far more than assumed. More epochs or images help more than more"
            " seeds.",
            steps=FEWEST_STEPS,
        )
        yield "hardly trained", text
    head_alone = [
        run
        for run in evidence.results.sound
        if evidence.provenance[run].settings.get("head", {}).get("epochs", 0)
        >= evidence.provenance[run].epochs_run
    ]
    if head_alone:
        text = say(
            "The head alone was trained ({runs}): head.epochs leaves no epoch for the other layers.",
            runs=", ".join(head_alone),
        )
        yield "head alone", text
    if runs := evidence.results.collapsed:
        text = say("Collapsed: {runs}. They are not compared with others.", runs=", ".join(runs))
        yield "collapsed", text
    if trainings := _mixed_precision(evidence):
        text = say(
            "With precision: auto, {trainings} were trained in bfloat16 and the others, on hardware "
            "without it, in float32. Set training.precision.",
            trainings=say.listed(trainings),
        )
        yield "precision", text


def _mixed_precision(evidence: Evidence) -> list[str]:
    """The trainings in bfloat16, if `auto` meant float32 for others: on other hardware, for instance."""
    precisions = {
        f"{model.run} ({model.seed})": model.provenance.precision
        for model in evidence.results.models
        if model.provenance.settings["precision"] == "auto"
    }
    if len(set(precisions.values())) < 2:
        return []
    return [training for training, precision in precisions.items() if precision == "bfloat16"]


def _hardware(evidence: Evidence) -> _Caveats:
    say = evidence.say
    devices = sorted({found.device for found in evidence.provenances})
    gpus = [gpu for found in evidence.provenances if (gpu := found.accelerator)]
    drivers = sorted({gpu.driver or "-" for gpu in gpus})
    shared = max((gpu.jobs_per_gpu for gpu in gpus), default=1)
    used = [
        *devices,
        *(say("GPU driver {driver}", driver=each) for each in drivers if len(drivers) > 1),
    ]
    if len(used) > 1:
        text = say(
            "The trainings ran on different hardware ({hardware}): their times cannot be "
            "compared, and results may differ because of it.",
            hardware=", ".join(used),
        )
        yield "different hardware", text
    elif len(evidence.labels) > 1:
        text = say(
            "All times were measured on one device ({device}): on another, the order may differ.",
            device=devices[0],
        )
        yield "one device", text
    if text := _unused_gpu(evidence):
        yield "unused GPU", text
    if trainings := _resumed(evidence):
        text = say(
            "Interrupted and resumed under other conditions: {trainings}. Repeating the training "
            "will not give the same bits (see training.resume).",
            trainings=trainings,
        )
        yield "resumed inexactly", text
    if shared > 1:
        text = say(
            "Up to {jobs} jobs shared a GPU: alone, each training takes less time.", jobs=shared
        )
        yield "shared GPU", text


def _resumed(evidence: Evidence) -> str:
    """Which runs went on under other conditions after an interruption, and what differed."""
    runs: dict[str, dict[str, None]] = {}
    for model in evidence.results.models:
        for change in model.provenance.resumed_inexactly or ():
            runs.setdefault(model.run, {})[evidence.say.recorded(change, CONDITIONS)] = None
    return "; ".join(f"{run} ({', '.join(changes)})" for run, changes in runs.items())


def _unused_gpu(evidence: Evidence) -> str:
    """Which runs did not use a GPU that was there, and what to do about it."""
    runs: dict[str, dict[str, None]] = {}
    for model in evidence.results.models:
        if note := model.provenance.device_note:
            runs.setdefault(evidence.say.recorded(note, CONDITIONS), {})[model.run] = None
    return " ".join(f"{evidence.say.listed(list(names))}: {note}." for note, names in runs.items())


def _code(evidence: Evidence) -> _Caveats:
    say, states = evidence.say, [found.git for found in evidence.provenances]
    commits = {state.commit for state in states}
    if any(state.dirty for state in states):
        yield "changed code", say("The code had changes that are not in the named commit.")
    if None in commits:
        yield "unknown code", say("The version of the code is not known (no Git checkout).")
    if len(commits) > 1:
        yield "several commits", say("The runs were trained at different commits of the code.")
