"""How runs and their contrasts are called where a reader does not know their names."""

from collections import Counter
from dataclasses import dataclass

from twinbench.analysis.comparisons import REPETITION, Comparison
from twinbench.analysis.study_results import StudyResults
from twinbench.language import Language
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.texts import translatable

_WEIGHTS = {
    "none": translatable("from scratch"),
    "imagenet": translatable("ImageNet weights"),
    "synthetic": translatable("synthetic weights"),
    "file": translatable("own weights"),
}
_PROTOCOLS = {
    "harmonised": translatable("same protocol"),
    "native": translatable("own defaults"),
}
# By what differs, in the order in which the report answers them.
QUESTIONS = {
    "weights": translatable("Scratch or pretrained?"),
    "framework": translatable("One framework or the other?"),
    "network": translatable("One network or the other?"),
    "protocol": translatable("Own defaults or the same protocol?"),
    "training settings": translatable("One recipe or the other?"),
    "precision": translatable("One precision or the other?"),
    "device": translatable("One device or the other?"),
    REPETITION: translatable("Does a repetition differ?"),
}
SPLITS = (translatable("train"), translatable("validation"), translatable("test"))


@dataclass(frozen=True)
class ContrastName:
    """What is compared, such as "PyTorch minus TensorFlow", and what both have: "AlexNet, from scratch"."""

    sides: str
    context: str

    def __str__(self) -> str:
        return f"{self.sides} ({self.context})" if self.context else self.sides


def network(model: str) -> str:
    """A network's short title; a name that is in no table stays as it is."""
    known = ARCHITECTURES.get(model)
    return known.title.partition(" (")[0] if known else model


def weights(source: str, say: Language) -> str:
    """Initial weights by their source: `from scratch`, `ImageNet weights`."""
    return say(_WEIGHTS.get(source, source))


def marked(results: StudyResults, run: str, say: Language) -> str:
    """A run's name with what a reader must know wherever it stands: `a (synthetic weights)`."""
    rows = results.runs[run]
    stuck = int((rows["status"] == "collapsed").sum())
    marks = [
        *([say("synthetic weights")] if (rows["weights"] == "synthetic").any() else []),
        *([_collapsed(stuck, len(rows), say)] if stuck else []),
    ]
    return f"{run} ({', '.join(marks)})" if marks else run


def _collapsed(stuck: int, seeds: int, say: Language) -> str:
    if seeds == 1:
        return say("collapsed")
    return say("collapsed in {stuck} of {seeds} seeds", stuck=stuck, seeds=seeds)


def fact(results: StudyResults, run: str, factor: str, say: Language) -> str:
    """What a run has of a factor of `comparisons.FACTORS`, in words: `from scratch`, `PyTorch`."""
    provenance = results.first[run].provenance
    match factor:
        case "framework":
            return say.framework(provenance.framework)
        case "network":
            return say(network(provenance.model))
        case "weights":
            return weights(provenance.weights.source, say)
        case "protocol":
            return say(_PROTOCOLS[provenance.settings.get("protocol", "harmonised")])
        case "precision":
            return provenance.precision
        case "device":
            return provenance.device
    return run


def question(results: StudyResults, factor: str, say: Language) -> str:
    """The question that a factor stands for, with the two frameworks by their names."""
    found = [model.provenance for model in results.first.values()]
    frameworks = list(dict.fromkeys(each.framework for each in found))
    if factor == "framework" and len(frameworks) == 2:
        a, b = map(say.framework, frameworks)
        return say("{a} or {b}?", a=a, b=b)
    planned = [pair for pair in results.compared if pair.planned and pair.question == factor]
    scratch = any(each.weights.source == "none" for each in found)
    if factor == "weights" and not (scratch and all(_gain(results, pair) for pair in planned)):
        return say("Which initial weights?")
    return say(QUESTIONS[factor])


def contrast_names(
    results: StudyResults, pairs: list[Comparison], say: Language
) -> list[ContrastName]:
    """The name of each pair; those that would have the same one are distinguished by their runs' names."""
    names = [_contrast_name(results, pair, say) for pair in pairs]
    counts = Counter(names)
    return [
        name if counts[name] == 1 else ContrastName(name.sides, f"{pair.run_a}, {pair.run_b}")
        for name, pair in zip(names, pairs, strict=True)
    ]


def _contrast_name(results: StudyResults, pair: Comparison, say: Language) -> ContrastName:
    """By what differs, if that is one thing; else by the names of the runs."""
    if not pair.planned or pair.question == REPETITION:
        return ContrastName(say("{a} minus {b}", a=pair.run_a, b=pair.run_b), "")
    a, b = sides(results, pair, say)
    shared = [name for name in ("framework", "network", "weights") if name != pair.question]
    if _gain(results, pair):
        shared.append("weights")
    if results.first[pair.run_a].provenance.settings.get("protocol") == "native":
        shared += ["protocol"] * (pair.question != "protocol")
    context = [fact(results, pair.run_a, name, say) for name in shared]
    return ContrastName(say("{a} minus {b}", a=a, b=b), ", ".join(context))


def sides(results: StudyResults, pair: Comparison, say: Language) -> tuple[str, str]:
    """What the two runs of a pair are called by what differs, such as "PyTorch" and "TensorFlow"; by their
    own names if that does not tell them apart."""
    if _gain(results, pair):
        return say("pretrained"), say("scratch")
    a, b = (fact(results, run, pair.question, say) for run in (pair.run_a, pair.run_b))
    return (a, b) if a != b else (pair.run_a, pair.run_b)


def _gain(results: StudyResults, pair: Comparison) -> bool:
    """Whether a pair shows what pretrained weights are worth."""
    scratch = results.first[pair.run_b].provenance.weights.source == "none"
    return pair.question == "weights" and scratch
