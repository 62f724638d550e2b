"""Fills the generated parts of the pages: numbers from the example studies, the graph from Snakemake.

    PYTHONPATH=workflow/scripts python docs/generate.py [--check]

A part stands between `<!-- name -->` and `<!-- /name -->`. With `--check` nothing is written, and the
exit status is 1 if a page is not up to date.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import yaml
from twinbench.config.schema import key_table
from twinbench.language import Language

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "docs" / "example"
FIGURE = ROOT / "docs" / "images" / "example.png"
REPORTED = yaml.safe_load((ROOT / "config" / "reference.yaml").read_text(encoding="utf-8"))["runs"]
SAY = Language()


# --- What the example studies found ------------------------------------------------------------


@dataclass(frozen=True)
class Contrast:
    """A planned pair of a study, `subject` what both runs are; `sides` names each run."""

    subject: str
    sides: dict[str, str]


@dataclass(frozen=True)
class Study:
    """A row of the table of results; `settings` are the overlays, relative to config/. `answers` are made
    from the metrics where contrasts are not what was asked."""

    question: str
    folder: str
    contrasts: list[Contrast]
    budget: str
    device: str
    settings: list[str]
    answers: Callable[[pd.DataFrame], list[str]] | None = None

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(STUDIES / self.folder / f"{name}.csv")


def by_framework(subject: str, run: str) -> Contrast:
    """PyTorch against TensorFlow, whose runs have names that differ in the framework alone."""
    return Contrast(
        subject,
        {
            run.format(framework): SAY.framework(framework)
            for framework in ("pytorch", "tensorflow")
        },
    )


def by_weights(framework: str, network: str, title: str) -> Contrast:
    run = f"{framework}-{network}"
    subject = f"{title} in {SAY.framework(framework)}"
    return Contrast(subject, {run: "pretrained", f"{run}-scratch": "scratch"})


def by_protocol(framework: str) -> Contrast:
    sides = {f"{framework}-native": "own defaults", f"{framework}-scratch": "same protocol"}
    return Contrast(SAY.framework(framework), sides)


def by_precision(framework: str) -> Contrast:
    sides = {f"{framework}-float32": "float32", f"{framework}-scratch": "bfloat16"}
    return Contrast(SAY.framework(framework), sides)


H200, ZEN = "NVIDIA H200", "AMD Zen 4, 2 cores"
SHORT, FULL = "3 epochs, 18,000 images", "10 epochs, 45,000 images"
DEFAULTS = [
    by_framework("own defaults", "{}-native"),
    by_framework("same protocol", "{}-scratch"),
    by_protocol("pytorch"),
    by_protocol("tensorflow"),
]
SCRATCH_TWINS = by_framework("", "{}-scratch")
VGG16_PRETRAINED = by_weights("pytorch", "vgg16", "VGG16")


def learning_rates(overlay: str) -> dict[str, float]:
    """Of each run of an overlay."""
    runs = yaml.safe_load((ROOT / "config" / overlay).read_text(encoding="utf-8"))["runs"]
    return {run: float(found["learning_rate"]) for run, found in runs.items() if found}


def collapses(metrics: pd.DataFrame) -> list[str]:
    """At which learning rates each framework's trainings collapsed."""
    rates, answers = learning_rates(RATES), []
    for framework, rows in metrics.groupby("framework", sort=False):
        stuck = sorted(rates[run] for run in rows.loc[rows["status"] == "collapsed", "run"])
        learned = sorted(rates[run] for run in rows.loc[rows["status"] != "collapsed", "run"])
        answers.append(
            f"{SAY.framework(str(framework))}: **collapsed** at {SAY.listed([f'{r:g}' for r in stuck])}, "
            f"learned at {SAY.listed([f'{r:g}' for r in learned])}"
        )
    return answers


RATES = "results/collapse-rates.yaml"
COLLAPSE = Study(
    "At which learning rates does a pretrained AlexNet collapse?",
    "collapse-rates",
    [],
    "3 epochs, 1,000 synthetic images",
    ZEN,
    [RATES],
    collapses,
)
TWINS = Study(
    "PyTorch or TensorFlow, AlexNet from scratch?",
    "twins",
    [SCRATCH_TWINS],
    FULL,
    H200,
    ["results/twins.yaml"],
)
VGG16 = Study(
    "The same VGG16: PyTorch or TensorFlow, and what are ImageNet weights worth?",
    "pretrained-vgg16",
    [
        by_framework("pretrained", "{}-vgg16"),
        by_framework("from scratch", "{}-vgg16-scratch"),
        VGG16_PRETRAINED,
        by_weights("tensorflow", "vgg16", "VGG16"),
    ],
    FULL,
    H200,
    ["unconfounded.yaml", "results/pretrained-vgg16.yaml"],
)
RESULTS = [
    TWINS,
    VGG16,
    Study(
        "The same VGG16 from ImageNet weights, briefly: PyTorch or TensorFlow?",
        "pretrained-vgg16-seeds",
        [by_framework("", "{}-vgg16")],
        "3 epochs, 9,000 images of 32 pixels",
        ZEN,
        ["unconfounded.yaml", "results/pretrained-vgg16-seeds.yaml"],
    ),
    Study(
        "The same AlexNet, with weights pretrained on synthetic images?",
        "pretrained-alexnet",
        [
            by_framework("pretrained", "{}-alexnet"),
            by_framework("from scratch", "{}-alexnet-scratch"),
            by_weights("pytorch", "alexnet", "AlexNet"),
            by_weights("tensorflow", "alexnet", "AlexNet"),
        ],
        SHORT,
        ZEN,
        ["unconfounded.yaml", "results/pretrained-alexnet.yaml"],
    ),
    Study(
        "How much of a gap between the frameworks is their defaults?",
        "defaults",
        DEFAULTS,
        SHORT,
        ZEN,
        ["native.yaml", "results/defaults.yaml"],
    ),
    Study(
        "And at the whole budget?",
        "defaults-full",
        DEFAULTS,
        FULL,
        ZEN,
        ["native.yaml", "results/defaults-full.yaml"],
    ),
    Study(
        "What does bfloat16 cost?",
        "precision",
        [by_precision("pytorch"), by_precision("tensorflow")],
        "3 epochs, 9,000 images",
        ZEN,
        ["precision.yaml", "results/precision.yaml"],
    ),
    COLLAPSE,
]


def answer(study: Study, contrast: Contrast) -> tuple[str, str]:
    """`open` and `PyTorch minus TensorFlow 0.3 pp (-1.0 to 1.7)`, as the study's report has it."""
    pairs = study.table("comparisons")
    (pair,) = pairs[
        pairs["run_a"].isin(contrast.sides) & pairs["run_b"].isin(contrast.sides)
    ].itertuples()
    a, b = contrast.sides[pair.run_a], contrast.sides[pair.run_b]
    verdicts = {
        "a": f"{a} ahead",
        "b": f"{b} ahead",
        "equivalent": "equal within 1 pp",
        "open": "open",
    }
    interval = SAY.interval(pair.difference_low, pair.difference_high, 1)
    return (
        verdicts[pair.verdict],
        f"{a} minus {b} {SAY.points(pair.difference)} ({interval})",
    )


def in_a_sentence(study: Study, contrast: Contrast) -> str:
    verdict, measured = answer(study, contrast)
    return f"{verdict[0].upper()}{verdict[1:]}: {measured}"


def accuracy(study: Study, run: str) -> str:
    """`84.3 % (83.4 to 85.1)`, the mean of a run's trainings, from the table of the study's report."""
    report = (STUDIES / study.folder / "report.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| {run} \|.*\| (\S+ % \(\S+ to \S+\)) \|", report, re.M)
    assert found
    return found[1]


# --- The generated parts -----------------------------------------------------------------------

# What the README's figure shows: run, study, network, initial weights, and the run of the course report. Its
# table has the first four.
SHOWN = [
    ("pytorch-scratch", TWINS, "AlexNet for 32x32 pixels", "random", "pytorch-scratch"),
    ("tensorflow-scratch", TWINS, "the same", "random", "tensorflow-scratch"),
    ("pytorch-vgg16", VGG16, "VGG16", "ImageNet", None),
    ("tensorflow-vgg16", VGG16, "the same", "ImageNet", "tensorflow-pretrained"),
    ("pytorch-vgg16-scratch", VGG16, "the same", "random", None),
    ("tensorflow-vgg16-scratch", VGG16, "the same", "random", None),
]


def reported(run: str | None) -> str:
    return SAY.percent(REPORTED[run]["test_accuracy"], 1) if run else ""


def example() -> str:
    """The README's answers, figure and table of runs."""
    rows = [
        f"| `{run}` | {network} | {weights} | {study.table('metrics')['seed'].nunique()} "
        f"| {accuracy(study, run)} | {reported(there)} |"
        for run, study, network, weights, there in SHOWN[:4]
    ]
    twins = re.sub(  # the unit is written out where it is met first
        r"(\S+) pp",
        lambda met: f"{met[1]} percentage point{'' if met[1] == '1' else 's'} (pp)",
        in_a_sentence(TWINS, SCRATCH_TWINS),
        count=1,
    )
    return "\n".join(
        [
            f"- **PyTorch or TensorFlow?** {twins}, over five seeds. One of these alone "
            "[would have named a winner](docs/statistics.md#why-one-seed-cannot-tell) by the usual test.",
            f"- **Scratch or pretrained?** {in_a_sentence(VGG16, VGG16_PRETRAINED)}, for the same VGG16, "
            "from one seed.",
            "- **The course report's 10 %?** A collapsed training, not a weak network: "
            "[why](docs/course-report.md#the-10--in-a-minute).",
            "",
            "![Test accuracy of each run, beside the course report's](docs/images/example.png)",
            "",
            "| run | network | initial weights | seeds | test accuracy (95 %) "
            "| [course report](config/reference.yaml) |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def results() -> str:
    """The table of docs/results.md."""
    header = ["question", "answer", "seeds", "budget", "device", "report", "overlay"]
    lines = [f"| {' | '.join(header)} |", "| --- " * len(header) + "|"]
    for study in RESULTS:
        metrics = study.table("metrics")
        answers = (
            study.answers(metrics)
            if study.answers
            else [
                f"{contrast.subject + ': ' if contrast.subject else ''}**{verdict}**, {measured}"
                for contrast in study.contrasts
                for verdict, measured in [answer(study, contrast)]
            ]
        )
        report = (STUDIES / study.folder / "report.md").read_text(encoding="utf-8")
        answers += [
            f"due to the defaults: {difference}"
            for difference in re.findall(r"due to the defaults \|\n.*\n.*\| (.*) \|\n", report)
        ]
        overlays = [f"[{Path(name).stem}](../config/{name})" for name in study.settings]
        cells = [
            study.question,
            "<br>".join(answers),
            str(metrics["seed"].nunique()),
            study.budget,
            study.device,
            f"[{study.folder}](example/{study.folder}/report.md)",
            " + ".join(overlays),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rules() -> str:
    """The default study's rules: each framework's rules as one, and no arrow that others imply."""
    command = ["snakemake", "--rulegraph", "mermaid-js"]
    graph = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = dict(re.findall(r"^\s*(\w+)\[(\w+)\]$", graph, re.M))
    merged = {key: re.sub("_(pytorch|tensorflow)$", "", name) for key, name in names.items()}
    edges = {(merged[a], merged[b]) for a, b in re.findall(r"^\s*(\w+) --> (\w+)$", graph, re.M)}
    edges = {(a, b) for a, b in edges if b not in ("default", "all")}

    def reachable(start: str) -> set[str]:
        following = {b for a, b in edges if a == start}
        return following.union(*(reachable(b) for b in following))

    direct = [
        (a, b)
        for a, b in sorted(edges)
        if not any(b in reachable(other) for start, other in edges if start == a)
    ]
    several = {
        name: "<br>".join(sorted(names[key] for key in names if merged[key] == name))
        for name in sorted(set(merged.values()) - set(names.values()))
    }
    return "\n".join(
        [
            "```mermaid",
            "flowchart LR",
            *(f'    {name}["{label}"]' for name, label in several.items()),
            *(f"    {a} --> {b}" for a, b in direct),
            "```",
        ]
    )


def draw_collapse() -> None:
    """The figure of the course report's page: test accuracy against learning rate."""
    metrics, rates = COLLAPSE.table("metrics"), learning_rates(RATES)
    figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
    for (framework, rows), colour, marker in zip(
        metrics.groupby("framework", sort=False), ("#d55e00", "#0072b2"), "os", strict=True
    ):
        x, y = rows["run"].map(rates), 100 * rows["test_accuracy"]
        stuck = rows["status"] == "collapsed"
        ax.plot(x, y, color=colour, linewidth=1)
        ax.plot(x[~stuck], y[~stuck], marker, color=colour, label=SAY.framework(str(framework)))
        ax.plot(x[stuck], y[stuck], "x", color=colour, markersize=9)
    ax.plot([], [], "x", color="0.3", markersize=9, label="collapsed")
    ax.axhline(10, color="0.5", linestyle="--", linewidth=1)
    ax.set(xscale="log", xlabel="learning rate", ylabel="test accuracy in %", ylim=(0, 100))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    figure.savefig(FIGURE.with_name("collapse.png"), dpi=120)


MEAN = {"fmt": "o", "color": "#0072b2", "capsize": 3}
TRAINING = {"marker": "|", "linestyle": "none", "color": "#0072b2"}
THERE = {"marker": "D", "linestyle": "none", "color": "#d55e00", "fillstyle": "none"}


def draw() -> None:
    """The README's figure: each training, the mean of each run's with its interval, and what the course
    report has."""
    figure, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
    for place, (run, study, *_, there) in enumerate(reversed(SHOWN)):
        metrics = study.table("metrics")
        values = 100 * metrics.loc[metrics["run"] == run, "test_accuracy"]
        mean, low, high = map(float, re.findall(r"[\d.]+", accuracy(study, run)))
        ax.errorbar(mean, place, xerr=[[mean - low], [high - mean]], **MEAN)
        ax.plot(values, [place + 0.3] * len(values), **TRAINING)
        if there:
            x = 100 * REPORTED[there]["test_accuracy"]
            ax.plot(x, place, **THERE)
    for style, label in (
        (MEAN, "mean, 95 % interval"),
        (TRAINING, "one training"),
        (THERE, "course report"),
    ):
        ax.errorbar([], [], label=label, **style)
    ax.set(xlim=(65, 95), ylim=(-0.6, len(SHOWN) - 0.4))
    ax.set_xlabel("test accuracy in %")
    ax.set_yticks(range(len(SHOWN)), [run for run, *_ in reversed(SHOWN)])
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower left", frameon=False)
    figure.savefig(FIGURE, dpi=120)


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"example": example, "rules": rules},
    "docs/results.md": {"results": results},
    "config/README.md": {"keys": key_table},
}


def filled(text: str, name: str, part: str) -> str:
    """The page's text with the part between its markers."""
    before, _, rest = text.partition(f"<!-- {name} -->")
    _, found, after = rest.partition(f"<!-- /{name} -->")
    if not found:
        sys.exit(f"the markers <!-- {name} --> and <!-- /{name} --> are missing")
    return f"{before}<!-- {name} -->\n\n{part}\n\n<!-- /{name} -->{after}"


def main() -> None:
    stale = []
    for name, parts in PARTS.items():
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        new = text
        for part, made in parts.items():
            new = filled(new, part, made())
        if new != text and "--check" in sys.argv:
            stale.append(name)
        elif new != text:
            page.write_text(new, encoding="utf-8")
    if stale:
        sys.exit(f"not up to date: {', '.join(stale)}. Run `make generate`")
    if "--check" not in sys.argv:
        draw()
        draw_collapse()


if __name__ == "__main__":
    main()
