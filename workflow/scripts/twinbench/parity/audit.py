"""The audit: every setting that could make twins differ, as each framework's own objects report it.

A setting that differs must be accounted for below, with the reason why it may; any other fails.
"""

from typing import Any

import pandas as pd

from twinbench.language import Language
from twinbench.parity.comparing import Finding, Measurement
from twinbench.texts import translatable

SAME = translatable("same")
FORCED = translatable("forced by the framework")
CHOSEN = translatable("chosen")
UNACCOUNTED = translatable("NOT ACCOUNTED FOR")

# What may differ, and why.
ACCOUNTED: dict[str, tuple[str, str]] = {
    "Adam: place of epsilon": (
        FORCED,
        translatable(
            "Keras' epsilon is scaled at each step so that it has the effect of PyTorch's"
        ),
    ),
    "layers' own initialiser": (
        FORCED,
        translatable("no effect: the initial weights replace what it made"),
    ),
    "layout of kernels": (FORCED, translatable("converted when weights are set and read")),
    "order of flattened inputs": (
        FORCED,
        translatable("the first dense kernel and its dropout masks are reordered"),
    ),
    "running variance of batch normalisation": (
        FORCED,
        translatable("differs by n / (n - 1), where n is the number of pixels in a batch"),
    ),
    "numbers below 1.2e-38": (FORCED, translatable("far below the resolution of float32 sums")),
    "threads between operations": (
        CHOSEN,
        translatable("no effect: no operations run at the same time"),
    ),
    "execution": (
        CHOSEN,
        translatable("each framework's usual way; the parity checks compare what it computes"),
    ),
}

# The names of settings. Their values stay in the words of the frameworks.
SETTINGS = (
    translatable("optimiser"),
    translatable("Adam: beta 1"),
    translatable("Adam: beta 2"),
    translatable("Adam: epsilon"),
    translatable("Adam: place of epsilon"),
    translatable("Adam: largest second moment (AMSGrad)"),
    translatable("weight decay of kernels"),
    translatable("weight decay of biases"),
    translatable("clipping of gradients"),
    translatable("learning rate multipliers"),
    translatable("layers"),
    translatable("parameters"),
    translatable("padding of convolutions"),
    translatable("layers' own initialiser"),
    translatable("layout of kernels"),
    translatable("order of flattened inputs"),
    translatable("running variance of batch normalisation"),
    translatable("type of the weights"),
    translatable("arithmetic of the layers"),
    translatable("arithmetic of the head"),
    translatable("TF32 on GPUs"),
    translatable("numbers below 1.2e-38"),
    translatable("loss"),
    translatable("reduction of the loss"),
    translatable("label smoothing"),
    translatable("what lies outside an image"),
    translatable("interpolation"),
    translatable("mean and std of the channels"),
    translatable("dropout"),
    translatable("running loss and accuracy"),
    translatable("threads of an operation"),
    translatable("threads between operations"),
    translatable("deterministic operations"),
    translatable("images in memory"),
    translatable("execution"),
    translatable("device"),
)


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
