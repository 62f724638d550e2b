"""How often a report names a winner, or equivalence, that is not: simulated studies with known truth.

    python benchmarks/false_winners.py [--studies 500] [--check]

It writes its tables between the markers in docs/statistics.md. With `--check` it only says whether they
are still what the code gives: seeds are fixed. Verdicts are the report's own (`compare_runs`).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
from measuring import ROOT  # also finds the package
from scipy import stats
from twinbench.analysis.comparisons import Comparison, Run, compare_runs
from twinbench.analysis.reading import Dataset, InitialWeights, Provenance
from twinbench.analysis.spread import DEFAULT_SETTINGS, SHORT_FROM_SCRATCH
from twinbench.data.archive import CIFAR10_CLASSES

DOCUMENT = ROOT / "docs" / "statistics.md"
START, END = "<!-- simulation -->\n", "<!-- /simulation -->"
SIGMAS = (0.1, 0.27, 0.36, 0.5, 0.63, 0.85)  # percentage points
SEEDS = (1, 3, 5)
IMAGES = 10_000
MARGIN = 0.01
# Epochs and training images, on which the spread that is assumed depends.
LONG, SHORT = 10, 3
FEW, ALL = 18_000, 45_000

# How probably an image is classified correctly by a new training of the method, over the test images:
# 75 % on average, and two trainings disagree on 15 % of the images.
_DIFFICULTY = stats.beta(0.5, 1 / 6).ppf((np.arange(2**14) + 0.5) / 2**14)
# Better trainings gain on images that are sometimes right and sometimes wrong. The mean gain is 1.
_GAIN = _DIFFICULTY * (1 - _DIFFICULTY)
_GAIN /= _GAIN.mean()

Correct = np.ndarray  # bool (runs, seeds, images): which predictions are right


def trainings(
    random: np.random.Generator,
    sigma: float,
    gaps: tuple[float, ...],
    seeds: int = max(SEEDS),
    own_images: float = 0.0,
) -> Correct:
    """Train one method for each gap, the percentage points that it is more accurate than the first.

    `sigma` is the standard deviation between trainings in percentage points. For the fraction
    `own_images` of the images each method has a difficulty of its own.
    """
    shared = random.integers(0, len(_DIFFICULTY), IMAGES)
    found = np.empty((len(gaps), seeds, IMAGES), dtype=bool)
    for method, gap in enumerate(gaps):
        images = shared.copy()
        own = int(own_images * IMAGES)
        images[:own] = random.integers(0, len(_DIFFICULTY), own)
        for seed, luck in enumerate(random.normal(gap, sigma, seeds) / 100):
            probability = (_DIFFICULTY + luck * _GAIN).astype(np.float32)
            found[method, seed] = random.random(IMAGES, dtype=np.float32) < probability[images]
    return found


def provenance(epochs: int = LONG, images: int = FEW, **differing: str) -> Provenance:
    """A run as far as comparisons look at it."""
    weights = InitialWeights(source=differing.pop("weights", "none"), file=None, sha256=None)
    facts = {"framework": "pytorch", "model": "alexnet32", "precision": "float32", "device": "CPU"}
    settings = DEFAULT_SETTINGS | {"epochs": epochs}
    return Provenance.model_construct(
        **facts | differing,
        weights=weights,
        settings=settings,
        epochs_run=epochs,
        layers=[],
        dataset=Dataset(
            name="",
            source="cifar10",
            class_names=list(CIFAR10_CLASSES),
            train_images=images,
            sha256={},
        ),
    )


TWINS = [provenance(framework=name) for name in ("pytorch", "tensorflow")]
DEFAULT_TWINS = [provenance(images=ALL, framework=name) for name in ("pytorch", "tensorflow")]
FACTORIAL = [
    provenance(framework=framework, weights=weights)
    for framework in ("pytorch", "tensorflow")
    for weights in ("none", "imagenet")
]
FOUR_FRAMEWORKS = [provenance(framework=name) for name in "abcd"]
NETWORKS = [provenance(SHORT, model=name) for name in ("alexnet32", "vgg16")]
DESIGNS = {
    "two runs": TWINS,
    "two scratch runs of the default study": DEFAULT_TWINS,
    "two frameworks by two weights": FACTORIAL,
    "four runs, one question": FOUR_FRAMEWORKS,
}


def verdicts(correct: Correct, provenances: list[Provenance], seeds: int) -> list[Comparison]:
    """What the report would say of the first seeds."""
    runs = [
        Run(f"run-{number}", right[:seeds], False, [facts] * seeds)
        for number, (right, facts) in enumerate(zip(correct, provenances, strict=False))
    ]
    return compare_runs(runs, MARGIN)


def has_winner(comparisons: list[Comparison]) -> bool:
    return any(pair.winner for pair in comparisons)


def equal_methods(sigma: float, studies: int) -> Counter[tuple[str, object]]:
    """How many of the studies name a winner among equal methods, by design and number of seeds."""
    random = np.random.default_rng([0, int(1000 * sigma)])
    found: Counter[tuple[str, object]] = Counter()
    for _ in range(studies):
        correct = trainings(random, sigma, (0,) * 4)
        for design, provenances in DESIGNS.items():
            looks = {seeds: verdicts(correct, provenances, seeds) for seeds in SEEDS}
            winners = {seeds: has_winner(pairs) for seeds, pairs in looks.items()}
            found.update((design, seeds) for seeds, winner in winners.items() if winner)
            found[design, "looks"] += any(winners.values())
            if design == "two runs":
                (pair,) = looks[1]
                found["one pair of trained models", 1] += (
                    pair.trained_low > 0 or pair.trained_high < 0
                )
    return found


def different_methods(
    sigma: float, gap: float, studies: int, provenances: list[Provenance], own_images: float = 0.0
) -> Counter[tuple[str, int]]:
    """Of studies of two methods, how many say which one is better, say the other, say equivalent, and
    have the true gap in the interval, by number of seeds."""
    random = np.random.default_rng([1, int(1000 * sigma), int(10 * gap), int(10 * own_images)])
    found: Counter[tuple[str, int]] = Counter()
    for _ in range(studies):
        correct = trainings(random, sigma, (gap, 0), own_images=own_images)
        for seeds in SEEDS:
            (pair,) = verdicts(correct, provenances, seeds)
            found[pair.verdict, seeds] += 1
            found["covered", seeds] += pair.difference_low <= gap / 100 <= pair.difference_high
    return found


def tables(studies: int) -> Iterator[str]:
    """The tables in Markdown, line by line."""
    equal = {sigma: equal_methods(sigma, studies) for sigma in SIGMAS}
    counted = ("1 seed", "3 seeds", "5 seeds")

    def row(name: str, counts: list[int]) -> str:
        return f"| {' | '.join([name, *(f'{100 * count / studies:.1f} %' for count in counts)])} |"

    def head(*columns: str) -> list[str]:
        return [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]

    yield f"Of {studies:,} simulated studies each, on {IMAGES:,} test images:\n"
    yield "**A false winner in the report**, where all methods are equally accurate, and, in the last"
    yield "column, if somebody looks after 1, 3 and 5 seeds and stops at the first winner:\n"
    yield from head("study", "true spread", *counted, "looks at 1, 3, 5")
    for design in DESIGNS:
        for sigma, counts in equal.items():
            yield row(f"{design} | {sigma}", [counts[design, look] for look in (*SEEDS, "looks")])
    yield "\n**The same by a test of two trained models** of one seed, as if they were the methods:\n"
    yield from head("true spread", "false winner")
    for sigma, counts in equal.items():
        yield row(f"{sigma}", [counts["one pair of trained models", 1]])
    yield "\n**Two runs whose methods differ by 1.0 percentage points:** winner found, and, wrongly,"
    yield f"equivalence within {100 * MARGIN:g}:\n"
    yield from head("study", "true spread", *counted, *(f"equivalent, {name}" for name in counted))
    for design in ("two runs", "two scratch runs of the default study"):
        for sigma in SIGMAS:
            counts = different_methods(sigma, 1, studies, DESIGNS[design])
            found = [counts[v, seeds] for v in ("a", "equivalent") for seeds in SEEDS]
            yield row(f"{design} | {sigma}", found)
    yield "\n**By 2.0 percentage points:** winner found, and the true difference in the interval:\n"
    yield from head("true spread", *counted, *(f"in the interval, {name}" for name in counted))
    for sigma in SIGMAS:
        counts = different_methods(sigma, 2, studies, TWINS)
        yield row(f"{sigma}", [counts[v, seeds] for v in ("a", "covered") for seeds in SEEDS])
    yield "\n**Equally accurate methods that err on other images** (a third of the images are difficult"
    yield "for one method and not for the other), and two networks briefly trained from scratch, where the"
    short = round(100 * SHORT_FROM_SCRATCH.std, 2)
    yield f"assumed spread is {short}: false winners, and the true difference in the interval:\n"
    yield from head(
        "study", "true spread", *counted, *(f"in the interval, {name}" for name in counted)
    )
    for name, sigma, own, runs in (
        ("other images", 0.1, 1 / 3, TWINS),
        ("other images", 0.5, 1 / 3, TWINS),
        ("two networks, short", short, 0.0, NETWORKS),
    ):
        counts = different_methods(sigma, 0, studies, runs, own)
        winners = [counts["a", seeds] + counts["b", seeds] for seeds in SEEDS]
        yield row(f"{name} | {sigma}", winners + [counts["covered", seeds] for seeds in SEEDS])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=500, help="of each kind")
    parser.add_argument("--check", action="store_true", help="compare with the document alone")
    arguments = parser.parse_args()
    found = "\n".join(tables(arguments.studies))
    print(found)
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, end, after = rest.partition(END)
    new = f"{before}{START}\n{found}\n\n{end}{after}"
    if arguments.check:
        sys.exit(
            None if new == text else f"{DOCUMENT}: the tables differ; run this without --check"
        )
    if not end:
        sys.exit(f"{DOCUMENT}: no place for the tables; add {START.strip()} and {END}")
    DOCUMENT.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
