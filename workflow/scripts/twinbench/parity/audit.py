"""The audit: every setting that could make twins differ, as each framework's own objects report it.

A setting that differs must be accounted for below, with the reason why it may; any other fails.
"""

from typing import Any

import pandas as pd

from twinbench.language import Language
from twinbench.parity.comparing import Finding, Measurement

SAME, FORCED, CHOSEN = "same", "forced by the framework", "chosen"
UNACCOUNTED = "NOT ACCOUNTED FOR"

# What may differ, and why.
ACCOUNTED: dict[str, tuple[str, str]] = {
    "Adam: place of epsilon": (
        FORCED,
        "Keras' epsilon is scaled at each step so that it has the effect of PyTorch's",
    ),
    "layers' own initialiser": (FORCED, "no effect: the initial weights replace what it made"),
    "layout of kernels": (FORCED, "converted when weights are set and read"),
    "order of flattened inputs": (
        FORCED,
        "the first dense kernel and its dropout masks are reordered",
    ),
    "running variance of batch normalisation": (
        FORCED,
        "differs by n / (n - 1), where n is the number of pixels in a batch",
    ),
    "numbers below 1.2e-38": (FORCED, "far below the resolution of float32 sums"),
    "running loss and accuracy": (FORCED, "reported only, no effect on training"),
    "threads between operations": (CHOSEN, "no effect: no operations run at the same time"),
    "execution": (CHOSEN, "each framework's usual way; the parity checks compare what it computes"),
}


def table(measurements: list[Measurement]) -> pd.DataFrame:
    """One row per case and setting: each framework's value and own words, status and reason."""
    rows = []
    for case in measurements[0].cases:
        reported = {each.framework: each.settings[case] for each in measurements}
        for setting in dict.fromkeys(name for settings in reported.values() for name in settings):
            rows.append(_row(case, setting, reported))
    return pd.DataFrame(rows)


def _row(case: str, setting: str, reported: dict[str, dict[str, list[str]]]) -> dict[str, str]:
    found = {
        framework: settings.get(setting, ["-", "-"]) for framework, settings in reported.items()
    }
    same = len({value for value, _ in found.values()}) == 1
    status, reason = (SAME, "") if same else ACCOUNTED.get(setting, (UNACCOUNTED, ""))
    return {
        "setting": setting,
        "case": case,
        **{framework: value for framework, (value, _) in found.items()},
        **{f"{framework}_own": own for framework, (_, own) in found.items()},
        "status": status,
        "reason": reason,
    }


def frameworks(audit: pd.DataFrame) -> list[str]:
    """The frameworks of an audit, from the names of its columns."""
    return [name.removesuffix("_own") for name in audit.columns if name.endswith("_own")]


def finding(audit: pd.DataFrame, say: Language) -> Finding:
    """How many settings are the same, or the ones that differ without a reason."""
    settings: dict[Any, set[str]] = {
        name: set(status) for name, status in audit.groupby("setting", sort=False)["status"]
    }
    missed = [say(str(name)) for name, found in settings.items() if UNACCOUNTED in found]
    if missed:
        text = say(
            "The audit FAILS: the frameworks differ in {settings}, and nothing accounts for that.",
            settings=say.listed(missed),
        )
        return Finding(False, text)
    differ = sum(found != {SAME} for found in settings.values())
    text = say(
        "The audit passes: of {all} settings {same} are the same in all frameworks, and the other "
        "{differ} are accounted for.",
        all=len(settings),
        same=len(settings) - differ,
        differ=differ,
    )
    return Finding(True, text)
