"""The audit: every setting that could make twins differ, as each framework's objects tell it.

A setting that differs must be accounted for below, with the reason why it may; any other fails.
"""

from typing import Any

import pandas as pd

from twinbench.analysis.ladder import Measurement

FORCED, CHOSEN = "forced by the framework", "chosen"
UNACCOUNTED = "NOT ACCOUNTED FOR"

# What may differ, and why.
ACCOUNTED: dict[str, tuple[str, str]] = {
    "Adam: place of epsilon": (
        FORCED,
        "torch's epsilon is set anew at each step, so that both take the same one",
    ),
    "layers' own initialiser": (FORCED, "without effect: the same weights are put in its place"),
    "layout of kernels": (FORCED, "converted when weights are set and read"),
    "order of flattened inputs": (
        FORCED,
        "the first dense kernel and its dropout masks are reordered",
    ),
    "running variance of batch normalisation": (
        FORCED,
        "differs by n / (n - 1), where n counts a batch's pixels",
    ),
    "numbers below 1.2e-38": (FORCED, "far below what float32 sums resolve"),
    "running loss and accuracy": (FORCED, "told, never trained on"),
    "threads between operations": (CHOSEN, "none runs in parallel: without effect on results"),
    "execution": (CHOSEN, "each framework's usual way; what it computes is held by the rungs"),
}


def table(measurements: list[Measurement]) -> pd.DataFrame:
    """A row a twin and setting: each framework's value and own words, and what to make of it."""
    rows = []
    for twin in measurements[0].twins:
        told = {m.framework: m.settings[twin] for m in measurements}
        for setting in dict.fromkeys(name for settings in told.values() for name in settings):
            rows.append(_row(twin, setting, told))
    return pd.DataFrame(rows)


def _row(twin: str, setting: str, told: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    facts = {framework: told[framework].get(setting, ["-", "-"]) for framework in told}
    same = len({value for value, _ in facts.values()}) == 1
    status, reason = ("same", "") if same else ACCOUNTED.get(setting, (UNACCOUNTED, ""))
    return {
        "setting": setting,
        "twin": twin,
        **{framework: value for framework, (value, _) in facts.items()},
        **{f"{framework}_own": own for framework, (_, own) in facts.items()},
        "status": status,
        "reason": reason,
    }


def report(audit: pd.DataFrame) -> dict[str, list[Any]]:
    """A row a setting, those that differ first; settings that are alike for several twins once."""
    frameworks = _frameworks(audit)
    facts = [*frameworks, "status", "reason"]
    rows = []
    for setting, entries in audit.groupby("setting", sort=False):
        for values, twins in entries.groupby(facts, sort=False):
            own = twins[[f"{framework}_own" for framework in frameworks]].iloc[0]
            said = [
                f"{_short(value)} ({words})"
                for value, words in zip(values[: len(frameworks)], own, strict=True)
            ]
            status, reason = values[len(frameworks) :]
            where = "" if len(twins) == len(entries) else f" ({', '.join(twins['twin'])})"
            loud = f"**{status}**" if status == UNACCOUNTED else status
            rows.append([f"{setting}{where}", *said, loud, reason])
    rows.sort(key=lambda row: _ORDER.index(row[-2]) if row[-2] in _ORDER else 0)
    return {"header": ["setting", *frameworks, "status", "why"], "rows": rows}


_ORDER = [f"**{UNACCOUNTED}**", CHOSEN, FORCED, "same"]


def findings(audit: pd.DataFrame) -> list[str]:
    """How many settings are alike, and loudly those that differ without a reason."""
    settings = audit.groupby("setting", sort=False)["status"].agg(set)
    missed = [name for name, found in settings.items() if UNACCOUNTED in found]
    if missed:
        return [
            f"**The audit FAILS: {', '.join(missed)} differ between the frameworks and nothing "
            "accounts for that.**"
        ]
    differ = sum(found != {"same"} for found in settings)
    return [
        f"The audit holds: of {len(settings)} settings {len(settings) - differ} are the same in all "
        f"frameworks, and each of the other {differ} is accounted for."
    ]


def failed(audit: pd.DataFrame) -> bool:
    return bool((audit["status"] == UNACCOUNTED).any())


def _frameworks(audit: pd.DataFrame) -> list[str]:
    return [name.removesuffix("_own") for name in audit.columns if name.endswith("_own")]


def _short(value: str, length: int = 60) -> str:
    return value if len(value) <= length else f"{value[:length].rsplit(' ', 1)[0]} ..."
