"""The parity suite: what the frameworks measured of themselves, compared check by check.

The first framework is the reference, each other one is compared with it. A check that fails is a result
to report, not an error.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise, takewhile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twinbench import tensor_files
from twinbench.errors import ANEW, InputError
from twinbench.language import Language
from twinbench.texts import translatable

# The columns of parity.csv.
COLUMNS: dict[str, type] = {
    "check": str,
    "max_error": float,
    "tolerance": float,
    "passed": bool,
    "case": str,
    "frameworks": str,
    "unit": str,
    "reason": str,
}

# The same tensor in two frameworks; None where one lacks it.
Pair = tuple[np.ndarray | None, np.ndarray | None]


@dataclass(frozen=True)
class Measurement:
    """What one framework measured.

    `quantities` are named `case:quantity` or, one of several tensors, `case:quantity/tensor`. `settings`
    holds, by case and name, a setting's value in common words and in the framework's own.
    """

    framework: str
    cases: list[str]
    quantities: dict[str, np.ndarray]
    settings: dict[str, dict[str, list[str]]]

    def tensors(self, case: str, quantity: str) -> dict[str, np.ndarray]:
        """A quantity's tensors by name; a quantity of one tensor alone has the name ''."""
        start = f"{case}:{quantity}"
        return {
            name[len(start) :]: value
            for name, value in self.quantities.items()
            if name == start or name.startswith(f"{start}/")
        }


@dataclass(frozen=True)
class Finding:
    """What a comparison says in a sentence, and whether that is what it should be."""

    passed: bool
    text: str


class _Description(BaseModel):
    model_config = ConfigDict(extra="forbid")

    framework: str
    settings: dict[str, dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]]]


def read(path: Path) -> Measurement:
    """Read what a framework measured. Raises `InputError` if the file is no such measurement."""
    quantities, facts = tensor_files.read(path)
    try:
        found = _Description.model_validate(facts)
    except ValidationError:
        raise InputError(f"{path}: not the parity measurement of a framework; {ANEW}") from None
    return Measurement(found.framework, list(found.settings), quantities, found.settings)


# --- Errors ------------------------------------------------------------------------------------

Error = Callable[[np.ndarray, np.ndarray], float]


def differing_rows(reference: np.ndarray, other: np.ndarray) -> float:
    """How many rows differ in any bit."""
    rows = len(reference)
    return float((reference.reshape(rows, -1) != other.reshape(rows, -1)).any(axis=1).sum())


def of_largest(reference: np.ndarray, other: np.ndarray) -> float:
    """The largest difference as a fraction of the largest magnitude."""
    return _fraction(np.abs(_difference(reference, other)).max(), np.abs(reference).max())


def of_length(reference: np.ndarray, other: np.ndarray) -> float:
    """The length of the difference as a fraction of the length (Euclidean norms)."""
    return _fraction(
        np.linalg.norm(_difference(reference, other)),
        np.linalg.norm(reference.astype(np.float64)),
    )


def of_each(reference: np.ndarray, other: np.ndarray) -> float:
    """The largest of the differences, each as a fraction of its own magnitude."""
    with np.errstate(divide="ignore", invalid="ignore"):
        fractions = np.abs(_difference(reference, other)) / np.abs(reference)
    return float(np.where(reference == other, 0, fractions).max())


def _difference(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    return other.astype(np.float64) - reference.astype(np.float64)


def _fraction(error: Any, size: Any) -> float:
    if error == 0:
        return 0.0
    return float(error / size) if size else np.inf


# --- Checks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """What is compared, how, how far it may differ, and why the tolerance is not smaller.

    Where a quantity was measured for several `batches`, the one that agrees best counts.
    """

    name: str
    quantity: str
    error: Error
    tolerance: float
    reason: str
    batches: bool = False


_UNITS: dict[Error, str] = {
    differing_rows: translatable("steps or tensors that differ"),
    of_largest: translatable("fraction of the largest value"),
    of_length: translatable("fraction of a layer's length, worst layer"),
    of_each: translatable("fraction of the loss, worst one"),
}
_INTEGERS = translatable("the same integers in both")
_RESIZE = translatable("float32 and a resize")
_COPIED = translatable("copied from one source")
_FORWARD = translatable("as the forward pass")
_DROPPED = translatable("as the loss: the same units dropped")
_POSITIONS = translatable("interpolation at float32 positions, rounded by about 4e-6 of a pixel")
_SUMS = translatable("float32 sums of up to 9216 terms in a different order")
_LAYERS = translatable(
    "float32 sums in a different order, layer by layer; the best of four batches"
)
_STEPS = translatable("the change of weights in float32, of which a step is a small part")
_CURVE = translatable(
    "rounding errors grow in training, even at 0.003 of the study's learning rate"
)

# From the data to the trained network: the first check that fails is nearest to the cause. Gradients are
# compared in several batches since rounding can move the maximum of a pooling window to another pixel.
CHECKS = (
    Check("sample order", "sample order", differing_rows, 0, _INTEGERS),
    Check("augmented pixels", "augmented pixels", of_largest, 2e-5, _POSITIONS),
    Check("preprocessing as the library's", "pixels", of_largest, 1e-5, _RESIZE),
    Check("initial weights", "initial weights", differing_rows, 0, _COPIED),
    Check("converted weights in the library's network", "features", of_largest, 1e-5, _SUMS),
    Check("forward pass", "forward", of_largest, 1e-5, _SUMS),
    Check("loss", "loss", of_each, 1e-5, _FORWARD),
    Check("gradients", "gradients", of_length, 2e-5, _LAYERS, batches=True),
    Check("dropout: loss", "dropout loss", of_each, 1e-5, _DROPPED),
    Check("dropout: gradients", "dropout gradients", of_length, 2e-5, _LAYERS, batches=True),
    Check("one Adam step", "change 1", of_length, 1e-3, _STEPS),
    Check("20 Adam steps", "change 20", of_length, 1e-3, _STEPS),
    Check("loss over {steps} steps", "loss curve", of_each, 1e-2, _CURVE),
    Check("forward pass with changed weights", "evaluation", of_largest, 1e-5, _SUMS),
)


def compare(measurements: list[Measurement]) -> pd.DataFrame:
    """One row per check, case and pair of frameworks, with the columns of `COLUMNS`."""
    _check_cases(measurements)
    reference, *others = measurements
    rows = [
        row
        for check in CHECKS
        for case in reference.cases
        for other in others
        if (row := _row(check, case, reference, other)) is not None
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _check_cases(measurements: list[Measurement]) -> None:
    for first, second in pairwise(measurements):
        if first.cases != second.cases:
            raise InputError(
                f"parity: {first.framework} measured {', '.join(first.cases)}, {second.framework} "
                f"{', '.join(second.cases)}; delete parity/{first.framework}.safetensors and "
                f"parity/{second.framework}.safetensors of the study and start again"
            )


def _row(
    check: Check, case: str, reference: Measurement, other: Measurement
) -> dict[str, Any] | None:
    batches = _batches(check, case, reference, other)
    if not batches:
        return None
    (first, _), *_ = batches[0]
    steps = 0 if first is None else first.size
    error = min(_worst(check.error, pairs) for pairs in batches)
    return {
        "check": check.name.format(steps=steps),
        "max_error": error,
        "tolerance": check.tolerance,
        "passed": bool(error <= check.tolerance),
        "case": case,
        "frameworks": f"{reference.framework}, {other.framework}",
        "unit": _UNITS[check.error],
        "reason": check.reason,
    }


def _batches(
    check: Check, case: str, reference: Measurement, other: Measurement
) -> list[list[Pair]]:
    """The pairs of tensors to compare, batch by batch; empty if neither framework measured any."""
    names = (
        (f"{check.quantity} of batch {number}" for number in count(1))
        if check.batches
        else iter([check.quantity])
    )
    return list(takewhile(bool, (list(_pairs(case, name, reference, other)) for name in names)))


def _pairs(case: str, quantity: str, reference: Measurement, other: Measurement) -> Iterator[Pair]:
    """One framework's tensors with the other's, and each framework's with its library's own.

    Tensors are compared layer by layer: the gradient of a bias before batch normalisation is nothing but
    rounding errors.
    """
    first = _by_layer(reference.tensors(case, quantity))
    second = _by_layer(other.tensors(case, quantity))
    for name in sorted(first.keys() | second.keys()):
        yield first.get(name), second.get(name)
    for measurement in (reference, other):
        for library in measurement.tensors(case, f"library {quantity}").values():
            for own in (first, second):
                yield library, own.get("")


def _by_layer(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of each layer as one; a quantity of one tensor alone stays as it is."""
    layers: dict[str, list[np.ndarray]] = {}
    for name in sorted(tensors):
        layers.setdefault(name.rsplit("/", 1)[0], []).append(tensors[name])
    return {layer: np.concatenate(parts) if layer else parts[0] for layer, parts in layers.items()}


def _worst(error: Error, pairs: list[Pair]) -> float:
    """The largest error; infinite for NaN, and where a tensor is missing or has another shape."""
    errors = [
        np.inf
        if first is None or second is None or first.shape != second.shape
        else error(first, second)
        for first, second in pairs
    ]
    return float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max())


# --- Findings ----------------------------------------------------------------------------------


def case_labels(parity: pd.DataFrame) -> pd.Series:
    """The case of each row, with its frameworks where more than two were compared."""
    if parity["frameworks"].nunique() > 1:
        return parity["case"] + " (" + parity["frameworks"] + ")"
    return parity["case"]


def check_name(check: str, say: Language) -> str:
    """A check's name in the language."""
    return say.recorded(check, [each.name for each in CHECKS])


def findings(parity: pd.DataFrame, say: Language) -> list[Finding]:
    """For each case whether all checks pass, or the first one that fails."""
    return [
        _finding(str(label), checks.to_dict("records"), say)
        for label, checks in parity.groupby(case_labels(parity), sort=False)
    ]


def _finding(label: str, checks: list[dict[Any, Any]], say: Language) -> Finding:
    frameworks = say.listed([say.framework(name) for name in checks[0]["frameworks"].split(", ")])
    failed = [check for check in checks if not check["passed"]]
    if not failed:
        text = say(
            "{case}: all {count} parity checks between {frameworks} pass.",
            case=label,
            count=len(checks),
            frameworks=frameworks,
        )
        return Finding(True, text)
    first = failed[0]
    before = checks[: checks.index(first)]
    passing = (
        say(
            'the last check before it, "{check}", passes',
            check=check_name(before[-1]["check"], say),
        )
        if before
        else say("it is the first check")
    )
    return Finding(
        False,
        say(
            '{case}: {frameworks} do NOT compute the same. The check "{check}" fails (error {error}, '
            "tolerance {tolerance}); {passing}. {failed} of {count} checks fail.",
            case=label,
            frameworks=frameworks,
            check=check_name(first["check"], say),
            error=say.short(first["max_error"]),
            tolerance=say.short(first["tolerance"]),
            passing=passing,
            failed=len(failed),
            count=len(checks),
        ),
    )
