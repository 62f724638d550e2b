"""What weakens a study."""

from twinbench.analysis.wording import listed
from twinbench.report.evidence import Evidence


def limits(evidence: Evidence) -> dict[str, str]:
    """The limits that apply, by what each is about."""
    parts = (_seeds, _inputs, _comparability, _hardware, _code)
    every = [limit for part in parts for limit in part(evidence)]
    return {name: sentence for name, applies, sentence in every if applies}


# What a limit is about, whether it applies, and what to say then.
_Limits = list[tuple[str, bool, str]]


def _seeds(evidence: Evidence) -> _Limits:
    return [
        (
            "one seed",
            evidence.seeds == 1,
            "One seed per run: the intervals cover the choice of test images, not the effect of "
            "another initialisation or sample order.",
        ),
        (
            "two seeds",
            evidence.seeds == 2,
            "Two seeds per run: too few for a claim about methods.",
        ),
        (
            "one test split",
            evidence.seeds > 1,
            "All seeds share one test split: the intervals over seeds do not cover the choice of "
            "test images.",
        ),
    ]


def _inputs(evidence: Evidence) -> _Limits:
    limit = evidence.statistics.limit
    return [
        (
            "synthetic weights",
            bool(evidence.synthetic_weights),
            f"Synthetic weights ({', '.join(evidence.synthetic_weights)}): pretrained on a small "
            "synthetic data set, so the gain from ImageNet weights is not measured.",
        ),
        (
            "synthetic images",
            evidence.synthetic_images,
            "Synthetic images: accuracies say nothing about CIFAR-10.",
        ),
        (
            "fewer images",
            limit is not None,
            f"Only {limit} training and test images were used: accuracies are lower, and intervals "
            "wider, than with all.",
        ),
    ]


def _comparability(evidence: Evidence) -> _Limits:
    pairs = evidence.comparisons
    confounded = sum(bool(pair.confounded) for pair in pairs)
    return [
        (
            "collapsed",
            bool(evidence.collapsed),
            f"Collapsed: {', '.join(evidence.collapsed)}; comparisons with it are void.",
        ),
        (
            "confounded",
            confounded > 0,
            f"{confounded} of {len(pairs)} pairs differ in more than one factor (see their "
            "verdicts): for them no single cause can be named.",
        ),
    ]


def _hardware(evidence: Evidence) -> _Limits:
    devices = sorted({model.provenance.device for model in evidence.models})
    gpus = [found for model in evidence.models if (found := model.provenance.accelerator)]
    drivers = sorted({gpu.driver or "unknown" for gpu in gpus})
    shared = max((gpu.jobs_per_gpu for gpu in gpus), default=1)
    used = [*devices, *(f"GPU driver {driver}" for driver in drivers if len(drivers) > 1)]
    return [
        (
            "one device",
            len(used) == 1 and len(evidence.runs) > 1,
            f"All times were measured on one device ({devices[0]}): on another, a GPU or a CPU, the "
            "order of the runs may differ.",
        ),
        (
            "different hardware",
            len(used) > 1,
            f"The trainings ran on different hardware ({', '.join(used)}): their times cannot be "
            "compared, and results may differ by it.",
        ),
        (
            "unused GPU",
            any(model.provenance.device_note for model in evidence.models),
            _unused_gpu(evidence),
        ),
        (
            "resumed inexactly",
            any(model.provenance.resumed_inexactly for model in evidence.models),
            f"Interrupted and resumed under other conditions: {_resumed(evidence)}. The same training "
            "again will not give the same bits (see training.resume).",
        ),
        (
            "shared GPU",
            shared > 1,
            f"Up to {shared} jobs shared a GPU: alone, each training takes less time than reported.",
        ),
    ]


def _resumed(evidence: Evidence) -> str:
    """Which runs went on under other conditions after an interruption, and what differed."""
    runs: dict[str, dict[str, None]] = {}
    for model in evidence.models:
        for change in model.provenance.resumed_inexactly or ():
            runs.setdefault(model.run, {})[change] = None
    return "; ".join(f"{run} ({', '.join(changes)})" for run, changes in runs.items())


def _unused_gpu(evidence: Evidence) -> str:
    """Which runs did not use a GPU that was there, and what to do about it."""
    runs: dict[str, dict[str, None]] = {}
    for model in evidence.models:
        if note := model.provenance.device_note:
            runs.setdefault(note, {})[model.run] = None
    return " ".join(f"{listed(list(names))}: {note}." for note, names in runs.items())


def _code(evidence: Evidence) -> _Limits:
    states = [model.provenance.git for model in evidence.models]
    commits = {state.commit for state in states}
    return [
        (
            "changed code",
            any(state.dirty for state in states),
            "The code had changes that are not in the named commit.",
        ),
        (
            "unknown code",
            None in commits,
            "The version of the code is not known (no Git checkout).",
        ),
        (
            "several commits",
            len(commits) > 1,
            "The runs were trained at different commits; the table below names the first seed's.",
        ),
    ]
