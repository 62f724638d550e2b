"""The study's question, answered in a few sentences, and what weakens the answer."""

from collections.abc import Callable
from itertools import combinations

from twinbench.analysis.comparisons import Comparison
from twinbench.analysis.wording import framework, listed, percent, percentage_points, plural
from twinbench.report.evidence import Evidence


def answer(evidence: Evidence) -> list[str]:
    return [
        *_by_pretraining(evidence),
        *(
            sentence
            for first, second in combinations(evidence.frameworks, 2)
            for sentence in _by_framework(evidence, first, second)
        ),
        *_reality(evidence),
        _highest_accuracy(evidence),
        *_take_care(evidence),
    ]


def _by_pretraining(evidence: Evidence) -> list[str]:
    """Scratch against pretrained, within each framework."""
    groups = {
        f"With {framework(name)}": [
            pair
            for pair in evidence.comparisons
            if _both(pair, evidence.framework) == {name}
            and _both(pair, evidence.pretrained) == {False, True}
        ]
        for name in evidence.frameworks
    }
    return _question("Scratch or pretrained?", groups, evidence.pretrained, "the pretrained run")


def _by_framework(evidence: Evidence, first: str, second: str) -> list[str]:
    """One framework against another, from scratch and pretrained."""
    groups = {
        words: [
            pair
            for pair in evidence.comparisons
            if _both(pair, evidence.framework) == {first, second}
            and _both(pair, evidence.pretrained) == {pretrained}
        ]
        for words, pretrained in (("From scratch", False), ("Pretrained", True))
    }
    return _question(
        f"{framework(first)} or {framework(second)}?",
        groups,
        lambda run: evidence.framework(run) == first,
        f"the {framework(first)} run",
    )


def _both(pair: Comparison, fact: Callable[[str], object]) -> set[object]:
    return {fact(pair.run_a), fact(pair.run_b)}


def _question(
    title: str, groups: dict[str, list[Comparison]], favoured: Callable[[str], bool], name: str
) -> list[str]:
    """The answer to a question, group by group of pairs; nothing if no pair answers it."""
    found = [
        f"{words}: {_summary(pairs, favoured, name)}." for words, pairs in groups.items() if pairs
    ]
    return [f"**{title}** {' '.join(found)}"] if found else []


def _summary(pairs: list[Comparison], favoured: Callable[[str], bool], name: str) -> str:
    """The verdict of a single pair; of several, how many favour the runs that are `favoured`."""
    if len(pairs) == 1:
        return pairs[0].verdict
    won, lost = wins(pairs, favoured)
    return (
        f"of {len(pairs)} pairs, {won} favour {name}, {lost} the other one, "
        f"and {len(pairs) - won - lost} show no difference or were not compared"
    )


def wins(pairs: list[Comparison], favoured: Callable[[str], bool]) -> tuple[int, int]:
    """How many pairs a run that is `favoured` wins, and how many another one wins."""
    winners = [pair.winner for pair in pairs if pair.winner]
    won = sum(favoured(run) for run in winners)
    return won, len(winners) - won


def _reality(evidence: Evidence) -> list[str]:
    pairs = evidence.comparisons
    if not pairs:
        return []
    different = sum(pair.winner is not None for pair in pairs)
    tested = sum(pair.outcome not in ("not compared", "undecided") for pair in pairs)
    tests = (
        f"{different} of {plural(tested, 'tested pair')} differ by more than chance explains "
        "(5 % level, Holm's adjustment)."
        if tested
        else "No pair could be tested."
    )
    claim = {
        1: "With one seed per run, this compares these trained models, not the methods: another "
        "seed could reverse a small difference.",
        2: "Two seeds per run show the spread, but cannot support a claim about methods.",
    }.get(evidence.seeds, f"With {evidence.seeds} seeds per run, this compares the methods.")
    return [f"**Is the difference real?** {tests} {claim}"]


def first_two(evidence: Evidence) -> tuple[str, str | None, bool]:
    """The run with the highest mean test accuracy, the next one, and whether the test supports that.

    The next one is None where all other runs collapsed.
    """
    means = evidence.metrics.groupby("run", sort=False)["test_accuracy"].mean()
    order = [str(run) for run in means.sort_values(ascending=False, kind="stable").index]
    learned = {model.run for model in evidence.models if not model.collapsed}
    if len(order) == 1 or learned == {order[0]}:
        return order[0], None, False
    pair = next(pair for pair in evidence.comparisons if {pair.run_a, pair.run_b} == {*order[:2]})
    return order[0], order[1], pair.winner is not None


def _highest_accuracy(evidence: Evidence) -> str:
    first, second, supported = first_two(evidence)
    accuracy = evidence.runs[first]["test_accuracy"].mean()
    measured = f"{evidence.labels[first]} with {percent(accuracy)}"
    if len(evidence.runs) == 1:
        return f"**Test accuracy:** {measured}."
    text = f"**Highest measured test accuracy:** {measured}"
    if second is None:
        return f"{text}, the only run that did not collapse."
    lead = accuracy - evidence.runs[second]["test_accuracy"].mean()
    support = (
        "a difference that the test supports"
        if supported
        else "a difference that the test does not support, so there is no winner"
    )
    return f"{text}, {percentage_points(lead)} more than {evidence.labels[second]}, {support}."


def _take_care(evidence: Evidence) -> list[str]:
    found = warnings(evidence).values()
    return [f"**Take care:** {' '.join(found)}"] if found else []


def warnings(evidence: Evidence) -> dict[str, str]:
    """What a reader must know before using the answer, by what it is about."""
    found = {}
    if evidence.collapsed:
        found["collapsed"] = f"{listed(evidence.collapsed)} collapsed: a failure, not a result."
    if evidence.synthetic_weights:
        found["synthetic weights"] = (
            f"{listed(evidence.synthetic_weights)} started from synthetic weights, pretrained here "
            "on synthetic images: this says nothing about ImageNet weights."
        )
    if evidence.synthetic_images:
        found["synthetic images"] = (
            "The images are synthetic, generated by this workflow: this is not CIFAR-10."
        )
    if not all(finding.passed for finding in evidence.parity_findings):
        found["parity"] = (
            "The frameworks do not run the same experiment: a parity check or the audit fails, so a "
            "difference between them may come from that."
        )
    if any(
        {"framework", "device"} <= set(pair.factors.split(", ")) for pair in evidence.comparisons
    ):
        found["device"] = (
            "The frameworks ran on different devices: a difference between them may come from that."
        )
    if mixed := _mixed_precision(evidence):
        found["precision"] = (
            f"With precision: auto, {listed(mixed)} were trained in bfloat16 and the others, on "
            "hardware without it, in float32: these are not the same experiment. Set "
            "training.precision."
        )
    return found


def _mixed_precision(evidence: Evidence) -> list[str]:
    """The trainings in bfloat16, if `auto` meant float32 for others: on other hardware, for instance."""
    precisions = {
        f"{model.run} (seed {model.seed})": model.provenance.precision
        for model in evidence.models
        if model.provenance.settings["precision"] == "auto"
    }
    if len(set(precisions.values())) == 1:
        return []
    return [training for training, precision in precisions.items() if precision == "bfloat16"]
