"""The study's question, answered in a few words, and the badges that say how far to trust it."""

import re
from collections import Counter

from twinbench.analysis import naming
from twinbench.analysis.comparisons import HARDWARE, Comparison
from twinbench.language import Language
from twinbench.report.blocks import Badge
from twinbench.report.evidence import Evidence

MOST_WORDS = 60
_MOST_SIDES = 3  # that are named in one sentence


def answer(evidence: Evidence) -> list[str]:
    """A sentence or two for each question; the highest accuracy only where `MOST_WORDS` leave room."""
    say = evidence.say
    found, best = [*_failures(evidence), *_questions(evidence)], _highest_accuracy(evidence)
    if not found or sum(len(text.split()) for text in [*found, *best]) <= MOST_WORDS:
        found += best
    # The unit is written out where it is met first.
    for place, text in enumerate(found):
        if met := re.search(rf"(\S+) {say('pp')}", text):
            unit = say("percentage point") if met[1] == "1" else say("percentage points")
            found[place] = f"{text[: met.start()]}{met[1]} {unit}{text[met.end() :]}"
            break
    return found


def _questions(evidence: Evidence) -> list[str]:
    planned: dict[str, list[Comparison]] = {}
    for pair in evidence.results.comparisons:
        if pair.planned:
            planned.setdefault(pair.question, []).append(pair)
    asked = [
        factor
        for factor in naming.QUESTIONS
        if factor in planned
        or _only_by_hardware(evidence, factor)
        or (factor in ("weights", "framework") and _varies(evidence, factor))
    ]
    return [
        f"**{naming.question(evidence.results, factor, evidence.say)}** "
        + _capitalised(
            _finding(evidence, planned[factor])
            if factor in planned
            else _not_answered(evidence, factor)
        )
        for factor in asked
    ]


def _capitalised(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _varies(evidence: Evidence, factor: str) -> bool:
    results, say = evidence.results, evidence.say
    return len({naming.fact(results, run, factor, say) for run in evidence.labels}) > 1


def _only_by_hardware(evidence: Evidence, factor: str) -> bool:
    """Whether two runs differ in this and, besides, in device or precision alone."""
    others = [
        set(pair.factors.split(", ")) - {factor}
        for pair in evidence.unplanned
        if factor not in HARDWARE and factor in pair.factors.split(", ")
    ]
    return any(factors <= set(HARDWARE) for factors in others)


def _not_answered(evidence: Evidence, factor: str) -> str:
    """Why: no two runs differ in this alone."""
    say = evidence.say
    if _only_by_hardware(evidence, factor):
        return say("Not answered: such trainings differ in device or precision, too.")
    pairs = [pair for pair in evidence.unplanned if factor in pair.factors.split(", ")]
    others = [set(pair.factors.split(", ")) - {factor} for pair in pairs]
    always = set.intersection(*others) if others else set()
    if factor == "weights" and "network" in always:
        return _reached(evidence)
    if "network" in always:
        return say("Not answered: wherever that differs, the networks differ too.")
    return say("Not answered: no two runs differ in that alone.")


def _reached(evidence: Evidence) -> str:
    """What pretrained and other networks from scratch reached: all that can be said of them."""
    say = evidence.say
    reached: dict[bool, list[float]] = {True: [], False: []}
    for run in evidence.results.sound:
        scratch = evidence.provenance[run].weights.source == "none"
        reached[scratch].append(evidence.results.accuracies[run].mean)
    if not all(reached.values()):
        return say("Not answered: wherever that differs, the networks differ too.")
    return say(
        "Pretrained {pretrained}, from scratch {scratch}; but the networks differ too, so the cause "
        "cannot be named.",
        pretrained=_range(say, reached[False]),
        scratch=_range(say, reached[True]),
    )


def _finding(evidence: Evidence, pairs: list[Comparison]) -> str:
    compared = [pair for pair in pairs if pair.verdict != "collapsed"]
    if not compared:
        return evidence.say("Not answered: a training collapsed.")
    return _of_one(evidence, *compared) if len(compared) == 1 else _of_several(evidence, compared)


def _of_one(evidence: Evidence, pair: Comparison) -> str:
    say, margin = evidence.say, evidence.say.margin(evidence.settings.equivalence_margin)
    a, b = (side(evidence, pair, run) for run in (pair.run_a, pair.run_b))
    ahead = a if pair.difference >= 0 else b
    gap = say.points(abs(pair.difference))
    match pair.verdict:
        case "a" | "b":
            return say("{ahead} is ahead by {gap}.", ahead=ahead, gap=gap)
        case "equivalent":
            return say("Equal within {margin}.", margin=margin)
    if gap == say.points(0):
        return say("Open: no difference was seen, but other trainings could show one.")
    return say(
        "Open: {ahead} was better by {gap}, but other trainings could reverse that.",
        ahead=ahead,
        gap=gap,
    )


def _of_several(evidence: Evidence, pairs: list[Comparison]) -> str:
    """How often which side is ahead; where recipes are compared, every pair has sides of its own."""
    say, count = evidence.say, len(pairs)
    winners = Counter(side(evidence, pair, pair.winner) for pair in pairs if pair.winner)
    equal = sum(pair.verdict == "equivalent" for pair in pairs)
    if len(winners) == 1 and winners.total() == count:
        mean = sum(abs(pair.difference) for pair in pairs) / count
        return say(
            "{ahead} is ahead in all {count} comparisons, by {gap} on average.",
            ahead=next(iter(winners)),
            count=count,
            gap=say.points(mean),
        )
    if not winners and equal == 0:
        return say("Open: none of {count} comparisons shows a difference.", count=count)
    if len(winners) > _MOST_SIDES:
        favours = [say.plural("{count} has a winner", "{count} have a winner", winners.total())]
    else:
        favours = [
            say.plural("{count} favours {side}", "{count} favour {side}", number, side=name)
            for name, number in winners.most_common()
        ]
    words = [
        *favours,
        *([say.plural("{count} is equal", "{count} are equal", equal)] if equal else []),
    ]
    rest = count - winners.total() - equal
    words += [say.plural("{count} is open", "{count} are open", rest)] if rest else []
    return say("Of {count} comparisons, {found}.", count=count, found=say.listed(words))


def side(evidence: Evidence, pair: Comparison, run: str) -> str:
    """What a run stands for in a planned pair: `PyTorch`, `pretrained`."""
    return naming.sides(evidence.results, pair, evidence.say)[run == pair.run_b]


def _failures(evidence: Evidence) -> list[str]:
    """What must be known before anything else."""
    say, collapsed = evidence.say, evidence.results.collapsed
    found = []
    if not all(finding.passed for finding in evidence.parity_findings):
        found.append(
            say(
                "**The frameworks do not run the same experiment:** a parity check or the audit fails."
            )
        )
    if len(collapsed) == 1:
        found.append(
            say(
                "**{run} collapsed:** a failure, not a result.",
                run=_description(evidence, collapsed[0]),
            )
        )
    elif collapsed:
        found.append(
            say(
                "**{count} of {all} runs collapsed:** failures, not results.",
                count=len(collapsed),
                all=len(evidence.labels),
            )
        )
    return found


def _highest_accuracy(evidence: Evidence) -> list[str]:
    say, accuracies = evidence.say, evidence.results.accuracies
    if not evidence.results.sound:
        return []
    best = max(evidence.results.sound, key=lambda run: accuracies[run].mean)
    found = accuracies[best]
    measured = say.estimate(found.mean, found.low, found.high)
    values = {"measured": measured, "run": _description(evidence, best)}
    if len(accuracies) == 1:
        return [say("Test accuracy: {measured}, {run}.", **values)]
    return [say("Highest test accuracy: {measured}, {run}.", **values)]


def _description(evidence: Evidence, run: str) -> str:
    """A run without its name, `AlexNet in PyTorch (from scratch)`, unless several runs are that."""
    words = {
        each: tuple(
            naming.fact(evidence.results, each, factor, evidence.say)
            for factor in ("network", "weights", "framework")
        )
        for each in evidence.labels
    }
    if list(words.values()).count(words[run]) > 1:
        return run
    network, weights, framework = words[run]
    return evidence.say(
        "{network} in {framework} ({weights})",
        network=network,
        framework=framework,
        weights=weights,
    )


def _range(say: Language, fractions: list[float]) -> str:
    low, high = say.number(100 * min(fractions), 1), say.percent(max(fractions))
    return high if len(fractions) == 1 else say("{low} to {high}", low=low, high=high)


# --- Badges ------------------------------------------------------------------------------------


def badges(evidence: Evidence) -> list[Badge]:
    return [
        _images(evidence),
        *_weights(evidence),
        *_parity(evidence),
        Badge(
            evidence.say.plural("{count} seed", "{count} seeds", evidence.seeds),
            evidence.seeds >= 3,
        ),
        *_devices(evidence),
        _commit(evidence),
    ]


def _images(evidence: Evidence) -> Badge:
    say = evidence.say
    if evidence.synthetic_images:
        return Badge(say("synthetic images, not CIFAR-10"), False)
    if evidence.dataset.kind == "own":
        return Badge(say("your own images, not CIFAR-10"), None)
    if not evidence.settings.official_archive:
        return Badge(say("images not from the official archive"), False)
    if evidence.statistics.limit:
        return Badge(say("part of the official CIFAR-10"), False)
    images = say.whole(evidence.images)
    return Badge(say("official CIFAR-10, {count} test images", count=images), True)


def _weights(evidence: Evidence) -> list[Badge]:
    sources = dict.fromkeys(found.weights.source for found in evidence.provenance.values())
    words = {
        "imagenet": evidence.say("ImageNet weights"),
        "synthetic": evidence.say("synthetic weights, not ImageNet's"),
        "file": evidence.say("weights from your own file"),
    }
    return [
        Badge(words.get(source, source), source != "synthetic")
        for source in sources
        if source != "none"
    ]


def _parity(evidence: Evidence) -> list[Badge]:
    if evidence.parity is None:
        return []
    passed, count = int(evidence.parity["passed"].sum()), len(evidence.parity)
    good = all(finding.passed for finding in evidence.parity_findings)
    text = evidence.say("parity {passed} of {count}", passed=passed, count=count)
    return [Badge(text if good else evidence.say("{text}, FAILS", text=text), good)]


def _devices(evidence: Evidence) -> list[Badge]:
    devices = list(dict.fromkeys(found.device for found in evidence.provenances))
    if len(devices) > 2:
        return [Badge(evidence.say("{count} different devices", count=len(devices)), False)]
    return [Badge(device, None if len(devices) == 1 else False) for device in devices]


def _commit(evidence: Evidence) -> Badge:
    say = evidence.say
    states = {(found.git.commit, found.git.dirty) for found in evidence.provenances}
    if len(states) > 1:
        return Badge(say("several versions of the code"), False)
    ((commit, dirty),) = states
    if not commit:
        return Badge(say("unknown version of the code"), False)
    if dirty:
        return Badge(say("commit {commit} with changes", commit=commit[:7]), False)
    if dirty is None:
        return Badge(say("commit {commit}", commit=commit[:7]), None)
    return Badge(say("commit {commit}, clean", commit=commit[:7]), True)
