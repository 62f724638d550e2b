"""What the report says: tables and sentences that follow from the numbers of the study.

Every function takes the evidence and returns strings, rows of strings, or a list of either; the
template only puts them in order.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import yaml

from twinbench.analysis import audit, ladder, study
from twinbench.analysis import defaults as native
from twinbench.analysis.figures import accuracy_interval
from twinbench.analysis.statistics import SEEDS_FOR_A_CLAIM
from twinbench.analysis.wording import (
    duration,
    listed,
    margin,
    number,
    p_value,
    percent,
    percent_interval,
    plural,
    points,
)
from twinbench.errors import InputError

FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}
WEIGHTS = {"none": "none (scratch)", "imagenet": "ImageNet", "proxy": "proxy", "file": "own file"}
FIGURES = ("accuracy", "learning_curves", "confusion", "accuracy_time")
REPORTED_KEYS = ("seconds_per_epoch", "train_loss", "train_accuracy", "test_accuracy")
MOST_SEEDS_LISTED = 10
MOST_PAIRS_LISTED = 15

Table = dict[str, list[Any]]


@dataclass(frozen=True)
class Evidence:
    """All that the report is written from.

    `jobs` are all trained models, `confusions` counts int (classes, classes) summed over the seeds,
    `statistics` the data's statistics.json, `figures` links by name.
    """

    settings: dict[str, Any]
    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    jobs: list[study.Job]
    confusions: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    statistics: dict[str, Any]
    reference: dict[str, Any]
    figures: dict[str, str]
    parity: pd.DataFrame | None
    audit: pd.DataFrame | None

    @property
    def runs(self) -> dict[str, pd.DataFrame]:
        """The rows of the metrics table of each run, a row a seed."""
        return dict(list(self.metrics.groupby("run", sort=False)))

    @property
    def provenance(self) -> dict[str, dict[str, Any]]:
        """What training noted about the first seed of each run."""
        return {run: job.provenance for run, job in study.first_jobs(self.jobs).items()}

    @property
    def diagnoses(self) -> list[tuple[str, int, str]]:
        """Run, seed and what training saw, for each training that collapsed."""
        return [
            (job.run, job.seed, job.provenance.get("diagnosis") or "training noted no reason")
            for job in self.jobs
            if job.collapsed
        ]

    @property
    def labels(self) -> dict[str, str]:
        """The name of each run with its marks."""
        return {run: study.label(run, rows) for run, rows in self.runs.items()}

    @property
    def seeds(self) -> int:
        """How many seeds each run has."""
        return self.metrics["seed"].nunique()

    @property
    def collapsed(self) -> list[str]:
        """The runs of which at least one seed got stuck at chance."""
        return [run for run, rows in self.runs.items() if (rows["status"] == "collapsed").any()]

    @property
    def synthetic(self) -> bool:
        """Whether the images were drawn by the workflow itself."""
        return self.dataset["source"] == "synthetic"

    @property
    def dataset(self) -> dict[str, Any]:
        """What training noted about the data, the same for all runs."""
        return next(iter(self.provenance.values()))["dataset"]


def render(template: Path, evidence: Evidence) -> str:
    """The report as Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda value: " ".join(str(value).split()).replace("|", "\\|")
    sections: dict[str, Callable[[Evidence], Any]] = {
        "answer": answer,
        "notes": notes,
        "collapses": collapses,
        "results": results,
        "costs": costs,
        "comparisons": comparisons,
        "comparison_note": comparison_note,
        "classes": classes,
        "class_findings": class_findings,
        "reported": reported,
        "reported_limits": reported_limits,
        "counts": counts,
        "data": data,
        "nets": nets,
        "common_settings": common_settings,
        "own_settings": own_settings,
        "parity": parity,
        "defaults": defaults,
        "discussion": discussion,
        "conclusions": conclusions,
        "limits": limits,
        "software": software,
        "provenance": provenance,
        "checksums": checksums,
    }
    return environment.get_template(template.name).render(
        class_count=len(evidence.class_names),
        chance_loss=f"{np.log(len(evidence.class_names)):.3f}",
        title=evidence.settings["title"],
        study=evidence.settings["study"],
        introduction=evidence.settings["introduction"],
        reference=evidence.reference,
        figures=evidence.figures,
        seeds=evidence.seeds,
        **{name: section(evidence) for name, section in sections.items()},
    )


# Inputs ------------------------------------------------------------------------------------------


def read_statistics(path: Path) -> dict[str, Any]:
    """Read the data's statistics.json."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable JSON ({error}); build the tensors again") from None


def read_reference(path: Path | None) -> dict[str, Any]:
    """Read reported figures: title, note, dataset, epochs, and for each run its four numbers.

    Without a file there are no reported runs.
    """
    if path is None:
        return {"runs": {}}
    try:
        reference = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable YAML ({reason}); correct the file") from None
    for key in ("title", "note", "dataset", "epochs", "runs"):
        if not isinstance(reference, dict) or key not in reference:
            raise InputError(f"{path}: key {key} is missing; see config/reference.yaml")
    for run, figures in (reference["runs"] or {}).items():
        for key in REPORTED_KEYS:
            if not isinstance(figures, dict) or not isinstance(figures.get(key), (int, float)):
                raise InputError(f"{path}: runs.{run}.{key} is no number; give one")
    return {**reference, "runs": reference["runs"] or {}}


def figure_links(figures: Path, start: Path) -> dict[str, str]:
    """Links to the PNG of each figure, relative to the folder of the report."""
    for name in FIGURES:
        if not (figures / f"{name}.png").is_file():
            raise InputError(f"{figures / name}.png: no such figure; draw the figures as png first")
    folder = Path(os.path.relpath(figures, start)).as_posix()
    return {name: f"{folder}/{name}.png" for name in FIGURES}


# The answer --------------------------------------------------------------------------------------


def answer(evidence: Evidence) -> list[str]:
    """The study's question, answered in a few sentences."""
    return [
        *_by_pretraining(evidence),
        *_by_framework(evidence),
        *_reality(evidence),
        _best(evidence),
        *_warnings(evidence),
    ]


def _pretrained(evidence: Evidence, run: str) -> bool:
    return bool((evidence.runs[run]["weights"] != "none").any())


def _framework(evidence: Evidence, run: str) -> str:
    return evidence.runs[run]["framework"].iloc[0]


def _by_pretraining(evidence: Evidence) -> list[str]:
    """Scratch against pretrained, within each framework."""
    said = []
    for framework in dict.fromkeys(evidence.metrics["framework"]):
        pairs = [
            pair
            for pair in _pairs(evidence)
            if _framework(evidence, pair["run_a"]) == framework
            and _framework(evidence, pair["run_b"]) == framework
            and _pretrained(evidence, pair["run_a"]) != _pretrained(evidence, pair["run_b"])
        ]
        if pairs:
            summary = _summary(pairs, lambda run: _pretrained(evidence, run), "the pretrained run")
            said.append(f"With {FRAMEWORKS.get(framework, framework)}: {summary}.")
    return [f"**Scratch or pretrained?** {' '.join(said)}"] if said else []


def _by_framework(evidence: Evidence) -> list[str]:
    """One framework against another, among the scratch and among the pretrained runs."""
    frameworks = list(dict.fromkeys(evidence.metrics["framework"]))
    return [
        sentence
        for first, second in combinations(frameworks, 2)
        for sentence in _two_frameworks(evidence, first, second)
    ]


def _two_frameworks(evidence: Evidence, first: str, second: str) -> list[str]:
    names = [FRAMEWORKS.get(framework, framework) for framework in (first, second)]
    said = []
    for pretrained, words in ((False, "From scratch"), (True, "Pretrained")):
        pairs = [
            pair
            for pair in _pairs(evidence)
            if {_framework(evidence, pair[side]) for side in ("run_a", "run_b")} == {first, second}
            and {_pretrained(evidence, pair[side]) for side in ("run_a", "run_b")} == {pretrained}
        ]
        if pairs:
            summary = _summary(
                pairs, lambda run: _framework(evidence, run) == first, f"the {names[0]} run"
            )
            said.append(f"{words}: {summary}.")
    return [f"**{' or '.join(names)}?** {' '.join(said)}"] if said else []


def _pairs(evidence: Evidence) -> list[dict[str, Any]]:
    return evidence.comparisons.to_dict("records")


def _summary(pairs: list[dict[str, Any]], favoured: Callable[[str], bool], name: str) -> str:
    """The verdict of a single pair; of several, how many favour the runs that are `favoured`."""
    if len(pairs) == 1:
        return pairs[0]["verdict"]
    winners = [pair[f"run_{pair['outcome']}"] for pair in pairs if pair["outcome"] in ("a", "b")]
    for_it = sum(favoured(run) for run in winners)
    return (
        f"of {len(pairs)} pairs, {for_it} favour {name}, {len(winners) - for_it} the other one, "
        f"and {len(pairs) - len(winners)} show no difference or were not compared"
    )


def _reality(evidence: Evidence) -> list[str]:
    pairs = _pairs(evidence)
    if not pairs:
        return []
    different = sum(pair["outcome"] in ("a", "b") for pair in pairs)
    tested = sum(pair["outcome"] not in ("not compared", "undecided") for pair in pairs)
    claim = {
        1: "With one seed a run, this compares these trained models, not the methods: another "
        "seed may turn a small difference round.",
        2: "Two seeds a run show the spread, but cannot support a claim about methods.",
    }.get(evidence.seeds, f"With {evidence.seeds} seeds a run, this compares the methods.")
    tests = (
        f"{different} of {plural(tested, 'tested pair')} differ by more than chance explains "
        "(5 % level, Holm's adjustment). "
        if tested
        else "No pair could be tested. "
    )
    return [f"**Is the difference real?** {tests}{claim}"]


def _best(evidence: Evidence) -> str:
    means = evidence.metrics.groupby("run", sort=False)["test_accuracy"].mean()
    means = means.sort_values(ascending=False, kind="stable")
    best = means.index[0]
    if len(means) == 1:
        return f"**Test accuracy:** {evidence.labels[best]} with {percent(means.iloc[0])}."
    text = (
        f"**Highest measured test accuracy:** {evidence.labels[best]} with {percent(means.iloc[0])}"
    )
    statuses = evidence.metrics.groupby("run")["status"]
    sound = [run for run in means.index if (statuses.get_group(run) != "collapsed").any()]
    if sound == [best]:
        return f"{text}, the only run that did not collapse."
    second = means.index[1]
    pair = next(
        pair for pair in _pairs(evidence) if {pair["run_a"], pair["run_b"]} == {best, second}
    )
    shown = "a difference that the test supports"
    if pair["outcome"] not in ("a", "b"):
        shown = "a difference that the test does not support, so it is no winner"
    return (
        f"{text}, {points(means.iloc[0] - means.iloc[1])} points before "
        f"{evidence.labels[second]}, {shown}."
    )


def _warnings(evidence: Evidence) -> list[str]:
    """What must be known before the answer is used."""
    said = []
    if evidence.collapsed:
        said.append(f"{listed(evidence.collapsed)} collapsed to chance: a fault, not a result.")
    if _proxies(evidence):
        said.append(
            f"{listed(_proxies(evidence))} started from proxy weights, pretrained here on a "
            "synthetic task: this says nothing about ImageNet weights."
        )
    if evidence.synthetic:
        said.append("The images are synthetic, drawn by this workflow: this is not CIFAR-10.")
    if _unequal(evidence):
        said.append(
            "The twins are not the same experiment: the parity ladder or the audit fails, so a "
            "difference between the frameworks may come from that."
        )
    if mixed := _mixed_precision(evidence):
        said.append(
            f"Left to choose their precision, {listed(mixed)} were trained in bfloat16 and the "
            "others in float32: these are not the same experiment. Set training.precision."
        )
    return [f"**Take care:** {' '.join(said)}"] if said else []


def _unequal(evidence: Evidence) -> bool:
    """Whether the frameworks were measured to do different things where they should not."""
    return (evidence.parity is not None and bool(ladder.failures(evidence.parity))) or (
        evidence.audit is not None and audit.failed(evidence.audit)
    )


def _mixed_precision(evidence: Evidence) -> list[str]:
    """The trainings in bfloat16, where `auto` chose float32 for others: on another machine, say."""
    chosen = {
        f"{job.run} (seed {job.seed})": job.provenance["precision"]
        for job in evidence.jobs
        if job.provenance["settings"].get("precision") == "auto"
    }
    mixed = len(set(chosen.values())) > 1
    return [training for training, name in chosen.items() if mixed and name == "bfloat16"]


def _proxies(evidence: Evidence) -> list[str]:
    return [run for run, rows in evidence.runs.items() if (rows["weights"] == "proxy").any()]


# Results -----------------------------------------------------------------------------------------


def notes(evidence: Evidence) -> list[str]:
    """Footnotes to the marks in the tables."""
    diagnoses = [
        f"collapsed: {run} got stuck; its numbers are shown for completeness and not compared "
        "(see [Why it collapsed](#why-it-collapsed))."
        for run in evidence.collapsed
    ]
    proxy = "proxy weights: pretrained here on a synthetic source task, not on ImageNet."
    return [*diagnoses, *([proxy] if _proxies(evidence) else [])]


def results(evidence: Evidence) -> Table:
    """Quality: a row a run."""
    interval = {1: "95 % interval (Wilson)", 2: "range of 2 seeds"}.get(
        evidence.seeds, "95 % interval (t over seeds)"
    )
    return {
        "header": [
            "run",
            "framework",
            "model",
            "initial weights",
            "test accuracy",
            interval,
            "validation accuracy",
            "training accuracy",
            "test loss",
            "macro F1",
            "calibration error",
        ],
        "rows": [_result(evidence, run, rows) for run, rows in evidence.runs.items()],
    }


def _result(evidence: Evidence, run: str, rows: pd.DataFrame) -> list[str]:
    mean, low, high = accuracy_interval(rows)
    if len(rows) == 2:
        low, high = rows["test_accuracy"].min(), rows["test_accuracy"].max()
    weights, framework = rows["weights"].iloc[0], rows["framework"].iloc[0]
    return [
        evidence.labels[run],
        FRAMEWORKS.get(framework, framework),
        rows["model"].iloc[0],
        WEIGHTS.get(weights, weights),
        percent(mean),
        percent_interval(low, high),
        percent(rows["validation_accuracy"].mean()),
        percent(rows["train_accuracy"].mean()),
        number(rows["test_loss"].mean()),
        number(rows["macro_f1"].mean()),
        number(rows["expected_calibration_error"].mean()),
    ]


def costs(evidence: Evidence) -> Table:
    """Cost: a row a run; means over the seeds."""
    return {
        "header": [
            "run",
            "epochs (tested)",
            "time an epoch",
            "total time",
            "images a second",
            "parameters",
            "device",
        ],
        "rows": [
            [
                evidence.labels[run],
                f"{rows['epochs'].mean():g} ({rows['chosen_epoch'].mean():g})",
                duration(rows["seconds_per_epoch"].mean()),
                duration(rows["total_seconds"].mean()),
                f"{rows['images_per_second'].mean():,.0f}",
                f"{rows['parameters'].iloc[0]:,}",
                listed(sorted(set(rows["device"]))),
            ]
            for run, rows in evidence.runs.items()
        ],
    }


def comparisons(evidence: Evidence) -> Table:
    """A row a pair of runs, with the verdict in words."""
    return {
        "header": [
            "pair (a, b)",
            "a - b (points)",
            "95 % interval",
            "only a right",
            "only b right",
            "p (Holm)",
            "verdict",
        ],
        "rows": [
            [
                f"{evidence.labels[pair['run_a']]}, {evidence.labels[pair['run_b']]}",
                points(pair["difference"]),
                _points_interval(pair),
                f"{pair['only_a_correct']:,}",
                f"{pair['only_b_correct']:,}",
                p_value(pair["p_holm"]).removeprefix("p = ").removeprefix("p "),
                pair["verdict"],
            ]
            for pair in _pairs(evidence)
        ],
    }


def _points_interval(pair: dict[str, Any]) -> str:
    if np.isnan(pair["difference_low"]):
        return "-"
    return f"{points(pair['difference_low'])} to {points(pair['difference_high'])}"


def comparison_note(evidence: Evidence) -> str:
    """How the table of comparisons was computed."""
    equivalence = (
        f"Two runs count as equivalent when both one-sided tests reject a difference of "
        f"{margin(evidence.settings['equivalence_margin'])} or more."
    )
    how = {
        1: "Each pair is compared over the same test images: Tango's score interval for paired "
        "proportions, McNemar's exact test, Holm's adjustment over all tested pairs. With one seed "
        "this compares the trained models.",
        2: "Each pair is compared over the same two seeds: t interval with one degree of freedom, "
        "and no test, because two seeds cannot support a claim about methods.",
    }.get(
        evidence.seeds,
        "Each pair is compared over the same seeds: t interval and paired t test, Holm's "
        "adjustment over all tested pairs. The counts are summed over the seeds.",
    )
    return how if evidence.seeds == 2 else f"{how} {equivalence}"


def classes(evidence: Evidence) -> Table:
    """The share of each class's test images that each run gets right."""
    shares = {run: _recall(matrix) for run, matrix in evidence.confusions.items()}
    return {
        "header": ["class", *(evidence.labels[run] for run in shares)],
        "rows": [
            [name, *(percent(values[place]) for values in shares.values())]
            for place, name in enumerate(evidence.class_names)
        ],
    }


def _recall(matrix: np.ndarray) -> np.ndarray:
    return np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)


def class_findings(evidence: Evidence) -> list[str]:
    """The easiest and the hardest class of each run, and its commonest mistake."""
    return [
        _class_finding(evidence, run, matrix)
        for run, matrix in evidence.confusions.items()
        if run not in evidence.collapsed
    ]


def _class_finding(evidence: Evidence, run: str, matrix: np.ndarray) -> str:
    recall, names = _recall(matrix), evidence.class_names
    easy, hard = int(recall.argmax()), int(recall.argmin())
    mistakes = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(mistakes, 0)
    true, predicted = np.unravel_index(int(mistakes.argmax()), mistakes.shape)
    if not mistakes.any():
        return f"{evidence.labels[run]}: no mistakes."
    return (
        f"{evidence.labels[run]}: best on {names[easy]} ({percent(recall[easy])}), worst on "
        f"{names[hard]} ({percent(recall[hard])}); its commonest mistake is to take "
        f"{names[true]} for {names[predicted]} ({percent(mistakes[true, predicted])})."
    )


# Reported against measured -----------------------------------------------------------------------


def reported(evidence: Evidence) -> Table:
    """The reference's figures beside the measured ones, for the runs that both have."""
    return {
        "header": [
            "run",
            "reported test accuracy",
            "measured test accuracy",
            "measured minus reported (points)",
            "reported training loss",
            "measured training loss",
            "reported training accuracy",
            "measured training accuracy",
            "reported time an epoch",
            "measured time an epoch",
        ],
        "rows": [
            [
                evidence.labels[run],
                percent(figures["test_accuracy"]),
                percent(rows["test_accuracy"].mean()),
                points(rows["test_accuracy"].mean() - figures["test_accuracy"]),
                number(figures["train_loss"]),
                number(rows["train_loss"].mean()),
                percent(figures["train_accuracy"]),
                percent(rows["train_accuracy"].mean()),
                duration(figures["seconds_per_epoch"]),
                duration(rows["seconds_per_epoch"].mean()),
            ]
            for run, figures in evidence.reference["runs"].items()
            if (rows := evidence.runs.get(run)) is not None
        ],
    }


def reported_limits(evidence: Evidence) -> list[str]:
    """Why the reported and the measured figures may not be set against each other."""
    both = [run for run in evidence.reference["runs"] if run in evidence.runs]
    if not both:
        return []
    source, epochs = evidence.dataset["source"], evidence.reference["epochs"]
    other_epochs = [run for run in both if set(evidence.runs[run]["epochs"]) != {epochs}]
    said = []
    if source != evidence.reference["dataset"]:
        said.append(
            f"The data differ ({evidence.reference['dataset']} there, {source} here): the "
            "accuracies and losses cannot be compared at all."
        )
    if other_epochs:
        trained = evidence.metrics.loc[evidence.metrics["run"].isin(other_epochs), "epochs"]
        said.append(
            f"The epochs differ ({epochs} there; {listed([str(n) for n in sorted(set(trained))])} "
            f"here for {listed(other_epochs)}): the accuracies are not those of equal training."
        )
    if proxies := [run for run in _proxies(evidence) if run in both]:
        said.append(f"{listed(proxies)} started from other weights (proxy).")
    if stuck := [run for run in evidence.collapsed if run in both]:
        said.append(f"{listed(stuck)} collapsed here.")
    if _fewer_images(evidence):
        said.append("Fewer images were used here.")
    return [*said, "Times an epoch depend on the machine; compare them within a column only."]


def _fewer_images(evidence: Evidence) -> bool:
    return evidence.statistics.get("limit") is not None


# Data, nets, protocol ----------------------------------------------------------------------------


def counts(evidence: Evidence) -> Table:
    """Images of each class in each split."""
    table = evidence.statistics["counts"]
    names = evidence.statistics["class_names"]
    rows = [
        [split, *(f"{of_class[name]:,}" for name in names), f"{sum(of_class.values()):,}"]
        for split, of_class in table.items()
    ]
    return {"header": ["split", *names, "all"], "rows": rows}


def data(evidence: Evidence) -> list[str]:
    """Where the data come from, how they were split and normalised."""
    statistics = evidence.statistics
    kind = (
        "synthetic images drawn by this workflow (offline data, not CIFAR-10)"
        if evidence.synthetic
        else "the real images of the archive"
    )
    said = [
        f"Data set `{evidence.dataset['name']}`, source `{evidence.dataset['source']}`: {kind}.",
        f"Validation split: {percent(statistics['validation_fraction'])} of the training images, "
        f"stratified, seed {statistics['seed']}. The epoch to test is chosen on it; the test split "
        "has no part in training.",
        "Statistics of the training part (red, green, blue; scale 0 to 1): mean "
        f"{_channels(statistics['mean'])}, standard deviation {_channels(statistics['std'])}.",
    ]
    if _fewer_images(evidence):
        said.append(f"Limited to {statistics['limit']} images a split.")
    return said


def _channels(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def nets(evidence: Evidence) -> list[dict[str, Any]]:
    """Each distinct net: which runs train it, its layers, its parameters."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for run, noted in evidence.provenance.items():
        layers = tuple(str(layer) for layer in noted["layers"])
        net = found.setdefault(layers, {"runs": [], "models": [], "layers": layers})
        net["runs"].append(run)
        net["models"].append(noted["model"])
        net["parameters"] = f"{noted['parameters']:,}"
    return [
        {**net, "runs": listed(net["runs"]), "model": listed(list(dict.fromkeys(net["models"])))}
        for net in found.values()
    ]


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as `optimiser.name: adam`."""
    flat = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False).strip('"')
    return flat


def _settings(evidence: Evidence) -> tuple[list[str], dict[str, dict[str, str]]]:
    """All keys in order, and the effective settings of each run."""
    flat = {
        run: _flat({**noted["settings"], "precision": noted["precision"]})
        for run, noted in evidence.provenance.items()
    }
    return list(dict.fromkeys(key for settings in flat.values() for key in settings)), flat


def _shared(values: list[str | None]) -> bool:
    return len(set(values)) == 1


def common_settings(evidence: Evidence) -> Table:
    """The effective settings that all runs share."""
    keys, flat = _settings(evidence)
    shared = [key for key in keys if _shared([settings.get(key) for settings in flat.values()])]
    first = next(iter(flat.values()))
    return {
        "header": ["setting", "all runs"],
        "rows": [["seeds", _seeds(evidence)], *([f"`{key}`", first[key]] for key in shared)],
    }


def _seeds(evidence: Evidence) -> str:
    seeds = sorted(set(evidence.metrics["seed"]))
    if len(seeds) > MOST_SEEDS_LISTED:
        return f"{len(seeds):,} seeds from {seeds[0]} to {seeds[-1]}"
    return ", ".join(str(seed) for seed in seeds)


def own_settings(evidence: Evidence) -> Table:
    """The effective settings that differ between runs."""
    keys, flat = _settings(evidence)
    own = [key for key in keys if not _shared([settings.get(key) for settings in flat.values()])]
    return {
        "header": ["setting", *flat],
        "rows": [
            [f"`{key}`", *(settings.get(key, "-") for settings in flat.values())] for key in own
        ],
    }


def parity(evidence: Evidence) -> dict[str, Any]:
    """The ladder and the audit as tables, and what they find; empty where they were not run."""
    if evidence.parity is None or evidence.audit is None:
        return {}
    return {
        "ladder": ladder.table(evidence.parity),
        "audit": audit.report(evidence.audit),
        "findings": [*ladder.findings(evidence.parity), *audit.findings(evidence.audit)],
    }


def defaults(evidence: Evidence) -> dict[str, Any]:
    """What the frameworks' defaults make of the gap between them; empty without native runs."""
    found = native.gaps(evidence.jobs)
    if not found:
        return {}
    rows = [
        [
            gap.net,
            f"{FRAMEWORKS.get(gap.first, gap.first)} - {FRAMEWORKS.get(gap.second, gap.second)}",
            *(str(estimate) for estimate in (gap.native, gap.harmonised, gap.defaults)),
        ]
        for gap in found
    ]
    return {
        "table": {
            "header": ["net", "gap", "by their defaults", "by the same protocol", "defaults make"],
            "rows": rows,
        },
        "findings": [native.finding(gap, FRAMEWORKS) for gap in found],
        "seeds": found[0].seeds,
    }


# Collapses ---------------------------------------------------------------------------------------


def collapses(evidence: Evidence) -> list[str]:
    """What training saw in each run that collapsed, why, and what to change."""
    several = evidence.seeds > 1
    return [
        f"**{run}**{f', seed {seed}' if several else ''}: {text}."
        for run, seed, text in evidence.diagnoses
    ]


# Discussion --------------------------------------------------------------------------------------


def discussion(evidence: Evidence) -> list[str]:
    """What the numbers of this study show beyond accuracy."""
    sound = {run: rows for run, rows in evidence.runs.items() if run not in evidence.collapsed}
    stuck = [
        f"{run} did not learn: its training loss ends at "
        f"{number(evidence.runs[run]['train_loss'].mean())}, and a guess costs ln "
        f"{len(evidence.class_names)} = {np.log(len(evidence.class_names)):.3f}."
        for run in evidence.collapsed
    ]
    return [*_time_findings(evidence, sound), *_fit_findings(sound), *stuck]


def _time_findings(evidence: Evidence, sound: dict[str, pd.DataFrame]) -> list[str]:
    if len(sound) < 2:
        return []
    seconds = {run: rows["total_seconds"].mean() for run, rows in sound.items()}
    fast, slow = min(seconds, key=seconds.get), max(seconds, key=seconds.get)
    gain = sound[slow]["test_accuracy"].mean() - sound[fast]["test_accuracy"].mean()
    more = "more" if gain >= 0 else "less"
    return [
        f"Time: {fast} is the fastest ({duration(seconds[fast])} in total), {slow} the slowest "
        f"({duration(seconds[slow])}, {seconds[slow] / max(seconds[fast], 1e-9):.1f} times as "
        f"long); the slowest measured {points(abs(gain))} points {more} test accuracy."
    ]


def _fit_findings(sound: dict[str, pd.DataFrame]) -> list[str]:
    if not sound:
        return []
    gaps = {
        run: (rows["train_accuracy"] - rows["test_accuracy"]).mean() for run, rows in sound.items()
    }
    errors = {run: rows["expected_calibration_error"].mean() for run, rows in sound.items()}
    wide = max(gaps, key=gaps.get)
    best, worst = min(errors, key=errors.get), max(errors, key=errors.get)
    fit = (
        f"Fit: training accuracy exceeds test accuracy by {points(gaps[wide])} points for {wide}"
        if gaps[wide] > 0
        else "Fit: no run has a higher training than test accuracy"
    )
    if gaps[wide] > 0 and len(gaps) > 1:
        fit += " (the most)"
    calibration = (
        f"Calibration: on average, confidence is off by {points(errors[worst])} points for {worst}"
    )
    if best != worst:
        calibration += f" (the most) and by {points(errors[best])} for {best} (the least)"
    return [f"{fit}.", f"{calibration}."]


def conclusions(evidence: Evidence) -> list[str]:
    """What may be concluded, and what would settle the rest."""
    pairs = _pairs(evidence)
    shown = [pair["verdict"] for pair in pairs if pair["outcome"] in ("a", "b", "equivalent")]
    if len(pairs) > MOST_PAIRS_LISTED:
        findings = [
            f"Of {len(pairs)} pairs, {len(shown)} show a difference or equivalence; "
            "see the table above."
        ]
    else:
        findings = [*(f"Shown: {verdict}." for verdict in shown), *_not_shown(pairs)]
    return [*findings, *_next_steps(evidence)]


def _not_shown(pairs: list[dict[str, Any]]) -> list[str]:
    words = {
        "none": "No difference shown, which is not equality",
        "undecided": "Left open by two seeds",
        "not compared": "Not compared, because a run collapsed",
    }
    found: dict[str, list[str]] = {outcome: [] for outcome in words}
    for pair in pairs:
        if pair["outcome"] in found:
            found[pair["outcome"]].append(f"{pair['run_a']} and {pair['run_b']}")
    return [f"{words[outcome]}: {'; '.join(names)}." for outcome, names in found.items() if names]


def _next_steps(evidence: Evidence) -> list[str]:
    steps = []
    if evidence.collapsed:
        steps.append(f"make {listed(evidence.collapsed)} train (a lower learning rate first)")
    if len(evidence.runs) == 1:
        steps.append("add a run to compare it with")
    elif evidence.seeds < SEEDS_FOR_A_CLAIM:
        steps.append(f"use at least {SEEDS_FOR_A_CLAIM} seeds to compare the methods")
    if _proxies(evidence):
        steps.append("use official weights (`weights: imagenet`) for the pretrained runs")
    if evidence.synthetic:
        steps.append("use the real images (`dataset.source: cifar10`)")
    return [f"To settle more: {'; '.join(steps)}."] if steps else []


def limits(evidence: Evidence) -> list[str]:
    """What weakens this study: each only when it is true."""
    noted = [job.provenance for job in evidence.jobs]
    commits = {(note["git"] or {}).get("commit") for note in noted}
    devices = sorted(set(evidence.metrics["device"]))
    unclean = evidence.comparisons["confounded"].notna()
    found = {
        "One seed a run: the intervals cover the choice of test images, not the luck of "
        "initialisation and order.": evidence.seeds == 1,
        "Two seeds a run: too few for a claim about methods.": evidence.seeds == 2,
        "All seeds share one test split: the intervals over seeds do not cover the choice of test "
        "images.": evidence.seeds > 1,
        f"Proxy weights ({', '.join(_proxies(evidence))}): pretrained on a small synthetic task, "
        "so the gain of ImageNet weights is not measured.": bool(_proxies(evidence)),
        "Synthetic images: accuracies say nothing about CIFAR-10.": evidence.synthetic,
        f"Only {evidence.statistics.get('limit')} images a split were used: accuracies are lower, "
        "and intervals wider, than with all.": _fewer_images(evidence),
        f"Collapsed: {', '.join(evidence.collapsed)}; comparisons with it are void.": bool(
            evidence.collapsed
        ),
        f"{unclean.sum()} of {len(unclean)} pairs differ in more than one factor (see their "
        "verdicts): for them no single cause can be named.": bool(unclean.any()),
        f"All times were taken on one device ({devices[0]}); on another, a GPU or a CPU, the order "
        "of the runs may be another.": len(devices) == 1 and len(evidence.runs) > 1,
        f"The runs used different devices ({', '.join(devices)}): their times cannot be "
        "compared.": len(devices) > 1,
        "The code had changes that are not in the named commit.": any(
            (note["git"] or {}).get("dirty") for note in noted
        ),
        "The version of the code is not known (no Git checkout).": None in commits,
        "The runs were trained at different commits; the table below names the first seed's.": len(
            commits
        )
        > 1,
    }
    return [sentence for sentence, holds in found.items() if holds]


# Provenance --------------------------------------------------------------------------------------


def software(evidence: Evidence) -> Table:
    """Versions of the libraries in each run's environment."""
    versions = {run: noted["versions"] for run, noted in evidence.provenance.items()}
    libraries = sorted({library for found in versions.values() for library in found})
    return {
        "header": ["library", *versions],
        "rows": [
            [library, *(str(found.get(library, "-")) for found in versions.values())]
            for library in libraries
        ],
    }


def provenance(evidence: Evidence) -> Table:
    """Code, machine and start of each run's first seed."""
    return {
        "header": ["run", "commit", "device", "threads", "precision", "started"],
        "rows": [
            [
                run,
                _commit(noted["git"] or {}),
                noted["device"],
                noted["threads"],
                noted["precision"],
                noted.get("started", "-"),
            ]
            for run, noted in evidence.provenance.items()
        ],
    }


def _commit(git: dict[str, Any]) -> str:
    commit = git.get("commit")
    return f"`{commit[:12]}`{' with changes' if git.get('dirty') else ''}" if commit else "unknown"


def checksums(evidence: Evidence) -> Table:
    """SHA-256 of the data and of the initial weights."""
    digests = {
        f"data: {split}": digest for split, digest in (evidence.dataset.get("sha256") or {}).items()
    }
    digests |= {
        f"weights of {run} ({noted['weights']['source']})": noted["weights"].get("sha256")
        for run, noted in evidence.provenance.items()
        if noted["weights"]["source"] != "none"
    }
    return {
        "header": ["file", "SHA-256"],
        "rows": [[name, f"`{digest}`"] for name, digest in digests.items() if digest],
    }
