"""What the runs reached: accuracy, how they learned, why some collapsed, and what they cost."""

import numpy as np
import pandas as pd

from twinbench.analysis import naming
from twinbench.report.blocks import Block, Bullets, Cell, Table, Text
from twinbench.report.evidence import Evidence
from twinbench.training.recorded import DEAD, DIAGNOSES

_MUCH_SLOWER = 1.1  # times


def results(evidence: Evidence) -> list[Block]:
    say = evidence.say
    header = [
        say("run"),
        say("network"),
        say("weights"),
        say("test accuracy"),
        say("training time"),
    ]
    explained = (
        say("Intervals are those of the trained networks, for other test images (Wilson, 95 %).")
        if evidence.seeds == 1
        else say(
            "Means over {count} seeds; intervals are for new trainings and new test images (95 %).",
            count=evidence.seeds,
        )
    )
    blocks: list[Block] = [
        Table("results", header, [_result(evidence, run) for run in evidence.labels]),
        Text(explained),
    ]
    if evidence.synthetic_weights:
        blocks.append(
            Text(
                say("Synthetic weights were pretrained here on synthetic images, not on ImageNet.")
            )
        )
    return blocks + evidence.figure("accuracy", say("Test accuracy of each run with its interval"))


def _result(evidence: Evidence, run: str) -> list[str | Cell]:
    say, rows = evidence.say, evidence.results.runs[run]
    network, framework, weights = (
        naming.fact(evidence.results, run, factor, say)
        for factor in ("network", "framework", "weights")
    )
    seconds = rows["total_seconds"].mean()
    return [
        evidence.labels[run],
        say("{network} in {framework}", network=network, framework=framework),
        weights,
        accuracy(evidence, run),
        Cell(say.duration(seconds), seconds),
    ]


def accuracy(evidence: Evidence, run: str) -> Cell:
    """A run's test accuracy with its interval; of a failure there is none."""
    found = evidence.results.accuracies[run]
    if run in evidence.results.collapsed:
        return Cell(evidence.say.percent(found.mean), 100 * found.mean)
    return Cell(evidence.say.estimate(found.mean, found.low, found.high), 100 * found.mean)


def costs(evidence: Evidence) -> list[Block]:
    say = evidence.say
    header = [
        say("run"),
        say("epochs (selected)"),
        say("median time per epoch"),
        say("images per second"),
        say("parameters"),
        say("device"),
    ]
    rows = [_cost(evidence, run, found) for run, found in evidence.results.runs.items()]
    means = evidence.results.metrics.groupby("run", sort=False)["total_seconds"].mean()
    sound = means.drop(evidence.results.collapsed)
    blocks: list[Block] = [Table("cost", header, rows)]
    if len(sound) > 1 and sound.max() >= _MUCH_SLOWER * sound.min() > 0:
        blocks.append(
            Text(
                say(
                    "The slowest run, {slow}, took {times} times as long as the fastest, {fast}.",
                    slow=sound.idxmax(),
                    fast=sound.idxmin(),
                    times=say.number(sound.max() / sound.min(), 1),
                )
            )
        )
    return blocks


def _cost(evidence: Evidence, run: str, rows: pd.DataFrame) -> list[str | Cell]:
    say = evidence.say
    epochs, selected = rows["epochs"].mean(), rows["selected_epoch"].mean()
    decimals = 0 if evidence.seeds == 1 else 1
    speed = rows["images_per_second"].mean()
    parameters = int(rows["parameters"].iloc[0])
    seconds = rows["seconds_per_epoch"].mean()
    return [
        evidence.labels[run],
        Cell(f"{say.number(epochs, decimals)} ({say.number(selected, decimals)})", epochs),
        Cell(say.duration(seconds), seconds),
        Cell(say.whole(speed), speed),
        Cell(say.whole(parameters), parameters),
        say.listed(sorted(set(rows["device"]))),
    ]


# --- Learning ----------------------------------------------------------------------------------


def learning(evidence: Evidence) -> list[Block]:
    say = evidence.say
    figures = [
        *evidence.figure(
            "learning_curves", say("Accuracy of the training and the validation images, by epoch")
        ),
        *evidence.figure("accuracy_time", say("Validation accuracy against elapsed training time")),
    ]
    if not figures:
        return []
    runs = evidence.results.runs
    gaps = {
        run: (runs[run]["train_accuracy"] - runs[run]["test_accuracy"]).mean()
        for run in evidence.results.sound
    }
    sentences = []
    widest = max(gaps, key=lambda run: gaps[run], default=None)
    if widest is not None and gaps[widest] > 0:
        sentences.append(
            say(
                "Training accuracy, measured on augmented images while the weights still change, ends up "
                "to {gap} above test accuracy ({run}).",
                gap=say.points(gaps[widest]),
                run=widest,
            )
        )
    smoothed = sorted(
        {found.settings.get("label_smoothing") or 0 for found in evidence.provenances}
    )
    if smoothed[-1]:
        sentences.append(
            say(
                "The training losses of history.csv include label smoothing ({value}), the "
                "validation losses do not: do not compare them.",
                value=say.number(smoothed[-1], 2),
            )
        )
    return [*figures, *([Bullets(sentences)] if sentences else [])]


# --- Collapses ---------------------------------------------------------------------------------


def collapses(evidence: Evidence) -> list[Block]:
    """What training found in each run and seed that collapsed, and what a collapse is."""
    say = evidence.say
    stuck = [model for model in evidence.results.models if model.collapsed]
    if not stuck:
        return []
    found = [
        say(
            "**{run}, seed {seed}**: {diagnosis}",
            run=model.run,
            seed=model.seed,
            diagnosis=say.recorded(model.provenance.diagnosis or "", DIAGNOSES),
        )
        for model in stuck[:20]
    ]
    if rest := len(stuck) - len(found):
        found.append(say("and {count} more trainings", count=rest))
    dead = any(DEAD in (model.provenance.diagnosis or "") for model in stuck)
    return [Bullets(found), *(explanation(evidence) if dead else [])]


def explanation(evidence: Evidence) -> list[Block]:
    """What a collapse is, for one who has not seen any."""
    say, classes = evidence.say, len(evidence.results.class_names)
    return [
        Text(
            say(
                "A collapsed network gives every image the same answer: it is right for one class in "
                "{classes}, and its loss is that of guessing, ln {classes} = {loss}.",
                classes=classes,
                loss=say.number(float(np.log(classes))),
            )
        ),
        Text(
            say(
                "The usual cause is dead ReLUs. A ReLU passes positive values on and turns all others into "
                "zero. A step that is too large can move a unit so far that its input is negative for every "
                "image. Such a unit is dead: it outputs zero, and since no gradient flows back through it, "
                "no later step can revive it. When a whole layer is dead, nothing of the image reaches the "
                "output. Smaller steps avoid this: a lower learning rate, a longer warm-up, and for "
                "pretrained weights an even lower learning rate, with the new head trained alone at first."
            )
        ),
    ]
