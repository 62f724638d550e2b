"""What weakens a study."""

from twinbench.report.evidence import Evidence


def limits(evidence: Evidence) -> dict[str, str]:
    """The limits that apply, by what each is about."""
    every = [*_seeds(evidence), *_inputs(evidence), *_comparability(evidence), *_code(evidence)]
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
    devices = sorted(set(evidence.metrics["device"]))
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
        (
            "one device",
            len(devices) == 1 and len(evidence.runs) > 1,
            f"All times were measured on one device ({devices[0]}): on another, a GPU or a CPU, the "
            "order of the runs may differ.",
        ),
        (
            "several devices",
            len(devices) > 1,
            f"The runs used different devices ({', '.join(devices)}): their times cannot be compared.",
        ),
    ]


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
