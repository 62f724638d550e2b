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
import numpy as np
import pandas as pd
import yaml
from twinbench.analysis.spread import known_spread
from twinbench.analysis.statistics import SIGNIFICANCE, Estimate, holm, moderated
from twinbench.language import Language

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "docs" / "example"
FIGURE = ROOT / "docs" / "images" / "example.png"
REPORTED = yaml.safe_load((ROOT / "config" / "reference.yaml").read_text(encoding="utf-8"))["runs"]
MARGIN = 0.01
SAY = Language()


# --- What the example studies found ------------------------------------------------------------


@dataclass(frozen=True)
class Contrast:
    """`a` minus `b`, two runs of a study that differ in one thing, `sides` what that is in words.

    Contrasts of the same `question` are one family of Holm's adjustment. `twins` are runs of the same
    network, weights and recipe.
    """

    subject: str
    a: str
    b: str
    sides: tuple[str, str]
    question: str = "framework"
    twins: bool = True


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


FRAMEWORKS = ("PyTorch", "TensorFlow")
XEON, ZEN = "Intel Xeon with AMX, 2 cores", "AMD Zen 4, 2 cores"
SCRATCH_TWINS = Contrast("", "pytorch-scratch", "tensorflow-scratch", FRAMEWORKS)
VGG16_TWINS = Contrast("VGG16", "pytorch-vgg16", "tensorflow-vgg16", FRAMEWORKS)
VGG16_PRETRAINED = Contrast(
    "VGG16 in TensorFlow",
    "tensorflow-vgg16",
    "tensorflow-vgg16-scratch",
    ("pretrained", "scratch"),
    "weights",
    twins=False,
)


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
DEFAULT = Study(
    "PyTorch or TensorFlow, AlexNet from scratch? (the example study)",
    "cifar10",
    [SCRATCH_TWINS],
    "10 epochs, 45,000 images",
    XEON,
    ["results/cifar10.yaml"],
)
UNCONFOUNDED = Study(
    "What are pretrained weights worth to the same network?",
    "unconfounded",
    [
        VGG16_PRETRAINED,
        Contrast(
            "AlexNet in PyTorch, synthetic weights",
            "pytorch-alexnet",
            "pytorch-alexnet-scratch",
            ("pretrained", "scratch"),
            "weights",
            twins=False,
        ),
        VGG16_TWINS,
    ],
    "3 epochs, 18,000 images",
    XEON,
    ["unconfounded.yaml", "results/unconfounded.yaml"],
)
RESULTS = [
    DEFAULT,
    Study(
        "The same with three seeds, in short trainings?",
        "seeds",
        [SCRATCH_TWINS],
        "3 epochs, 18,000 images",
        ZEN,
        ["results/seeds.yaml"],
    ),
    Study(
        "PyTorch or TensorFlow, the same pretrained VGG16?",
        "vgg16",
        [VGG16_TWINS],
        "7 epochs, 45,000 images",
        ZEN,
        ["unconfounded.yaml", "results/vgg16.yaml"],
    ),
    UNCONFOUNDED,
    Study(
        "How much of a gap between the frameworks is their defaults?",
        "defaults",
        [
            Contrast("own defaults", "pytorch-native", "tensorflow-native", FRAMEWORKS),
            Contrast("same protocol", "pytorch-scratch", "tensorflow-scratch", FRAMEWORKS),
            Contrast(
                "PyTorch",
                "pytorch-native",
                "pytorch-scratch",
                ("own defaults", "same protocol"),
                "protocol",
                twins=False,
            ),
            Contrast(
                "TensorFlow",
                "tensorflow-native",
                "tensorflow-scratch",
                ("own defaults", "same protocol"),
                "protocol",
                twins=False,
            ),
        ],
        "1 epoch, 45,000 images",
        XEON,
        ["native.yaml", "results/defaults.yaml"],
    ),
    Study(
        "What does bfloat16 cost?",
        "precision",
        [
            Contrast(
                "PyTorch",
                "pytorch-float32",
                "pytorch-scratch",
                ("float32", "bfloat16"),
                "precision",
            ),
            Contrast(
                "TensorFlow",
                "tensorflow-float32",
                "tensorflow-scratch",
                ("float32", "bfloat16"),
                "precision",
            ),
        ],
        "2 epochs, 18,000 images",
        XEON,
        ["precision.yaml", "results/precision.yaml"],
    ),
    Study(
        "What does VGG16 reach by today's default recipe?",
        "default-vgg16",
        [],
        "10 epochs, 45,000 images",
        XEON,
        ["results/default-vgg16.yaml"],
    ),
    COLLAPSE,
]


def estimate(study: Study, contrast: Contrast) -> Estimate:
    """By today's statistics, as far as the files of then allow.

    They hold how many images only one run gets right, not which. With several seeds these are assumed
    to be the same in each, which gives the widest interval that the counts allow.
    """
    metrics, pairs = (
        study.table("metrics"),
        study.table("comparisons").set_index(["run_a", "run_b"]),
    )
    pair, images = pairs.loc[(contrast.a, contrast.b)], int(metrics["test_images"].iloc[0])
    right = metrics.pivot(index="seed", columns="run", values="test_accuracy") * images
    discordant = (pair["only_a_correct"] + pair["only_b_correct"]) / len(right)
    differences = np.zeros((len(right), images), np.int8)
    for row, gap in zip(differences, right[contrast.a] - right[contrast.b], strict=True):
        only_a = round((discordant + gap) / 2)
        row[:only_a] = 1
        row[images - (only_a - round(gap)) :] = -1
    return moderated(differences, known_spread(contrast.twins, int(metrics["epochs"].min())))


def verdicts(study: Study) -> dict[Contrast, tuple[Estimate, str]]:
    """As the report words them, with Holm's adjustment over the contrasts of each question."""
    found = {}
    for question in dict.fromkeys(contrast.question for contrast in study.contrasts):
        family = [contrast for contrast in study.contrasts if contrast.question == question]
        estimates = [estimate(study, contrast) for contrast in family]
        differ = holm([each.p_value() for each in estimates])
        equal = holm([each.equivalence_p(MARGIN) for each in estimates])
        for contrast, each, p, p_equal in zip(family, estimates, differ, equal, strict=True):
            ahead = contrast.sides[each.difference < 0]
            verdict = "equal within 1 pp" if p_equal < SIGNIFICANCE else "open"
            found[contrast] = (each, f"{ahead} ahead" if p < SIGNIFICANCE else verdict)
    return found


def measured(each: Estimate) -> str:
    """`0.3 pp (-1.0 to 1.7)`."""
    return f"{SAY.points(each.difference)} ({SAY.interval(*each.interval(), 1)})"


def accuracy(row: pd.Series) -> str:
    return str(SAY.estimate(row["test_accuracy"], row["accuracy_low"], row["accuracy_high"]))


# --- The generated parts -----------------------------------------------------------------------

RUNS = {
    "pytorch-scratch": ("AlexNet for 32x32 pixels", "random"),
    "tensorflow-scratch": ("the same", "random"),
    "pytorch-pretrained": ("AlexNet", "synthetic, not ImageNet's"),
    "tensorflow-pretrained": ("VGG16", "ImageNet"),
}


def example() -> str:
    """The README's answers, figure and table of runs."""
    metrics = DEFAULT.table("metrics").set_index("run")
    twins, verdict = verdicts(DEFAULT)[SCRATCH_TWINS]
    low, high = twins.interval()
    gain, gain_verdict = verdicts(UNCONFOUNDED)[VGG16_PRETRAINED]
    rows = [
        f"| `{run}` | {network} | {weights} | {accuracy(metrics.loc[run])} "
        f"| {SAY.percent(REPORTED[run]['test_accuracy'], 1)} |"
        for run, (network, weights) in RUNS.items()
    ]
    return "\n".join(
        [
            f"- **PyTorch or TensorFlow?** {verdict.capitalize()}: the networks from scratch end "
            f"{SAY.number(100 * abs(twins.difference), 1)} percentage points (pp) apart, but either "
            f"method may be up to {SAY.points(max(-low, high))} better.",
            f"- **Scratch or pretrained?** {gain_verdict.capitalize()} by {measured(gain)} for the same "
            "VGG16, in [three epochs](docs/results.md).",
            "- **The course report's 10 %?** A collapsed training, not a weak network: "
            "[why](docs/course-report.md#the-10--in-a-minute).",
            "",
            "![Test accuracy of each run, beside the course report's](docs/images/example.png)",
            "",
            "| run | network | initial weights | test accuracy (95 %) "
            "| [course report](config/reference.yaml) |",
            "| --- | --- | --- | --- | --- |",
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
                f"{contrast.subject + ': ' if contrast.subject else ''}**{verdict}**, "
                f"{' minus '.join(contrast.sides)} {measured(each)}"
                for contrast, (each, verdict) in verdicts(study).items()
            ]
            or [f"{accuracy(row)}, one trained network" for _, row in metrics.iterrows()]
        )
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


def draw() -> None:
    """The README's figure: each run's accuracy and interval, and what the course report has."""
    metrics = DEFAULT.table("metrics").set_index("run").loc[list(RUNS)[::-1]]
    places, values = np.arange(len(metrics)), 100 * metrics["test_accuracy"]
    figure, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
    errors = [values - 100 * metrics["accuracy_low"], 100 * metrics["accuracy_high"] - values]
    ax.errorbar(values, places, xerr=errors, fmt="o", color="#0072b2", capsize=3, label="here")
    there = [100 * REPORTED[run]["test_accuracy"] for run in metrics.index]
    ax.plot(there, places, "D", color="#d55e00", fillstyle="none", label="course report")
    ax.axvline(10, color="0.5", linestyle="--", linewidth=1)
    ax.text(11, -0.45, "guessing", color="0.35", fontsize=8)
    ax.set(xlim=(0, 100), ylim=(-0.6, 3.5), xlabel="test accuracy in % (bars: 95 % interval)")
    ax.set_yticks(places, list(metrics.index))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="center left", bbox_to_anchor=(0.2, 0.5), frameon=False)
    figure.savefig(FIGURE, dpi=120)


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"example": example, "rules": rules},
    "docs/results.md": {"results": results},
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
