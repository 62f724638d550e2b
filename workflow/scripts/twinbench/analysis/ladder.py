"""The parity ladder and the audit: what the frameworks measured of themselves, set side by side.

The first framework is the reference, each other one is held against it. A rung that fails is a result
to report, not an error.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from twinbench.errors import InputError

COLUMNS = [
    "rung",
    "max_error",
    "tolerance",
    "passed",
    "twin",
    "frameworks",
    "unit",
    "reason",
]


@dataclass(frozen=True)
class Measurement:
    """What one framework measured: `quantities` by `twin:name`, `settings` by twin and name."""

    framework: str
    twins: list[str]
    quantities: dict[str, np.ndarray]
    settings: dict[str, dict[str, list[str]]]

    def of(self, twin: str, quantity: str) -> dict[str, np.ndarray]:
        """A quantity's tensors by name; a quantity of one tensor alone has the name ''."""
        start = f"{twin}:{quantity}"
        return {
            name[len(start) :]: value
            for name, value in self.quantities.items()
            if name == start or name.startswith(f"{start}/")
        }


def read(path: Path) -> Measurement:
    """Read what a framework measured. Raises `InputError` if the file is no such measurement."""
    try:
        with safe_open(path, framework="numpy") as file:
            description = json.loads(file.metadata()["parity"])
            quantities = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (FileNotFoundError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not the parity quantities of a framework ({error}); delete it and run again"
        ) from None
    return Measurement(
        description["framework"], list(description["settings"]), quantities, description["settings"]
    )


# --- Errors ------------------------------------------------------------------------------------

Error = Callable[[np.ndarray, np.ndarray], float]


def differing(reference: np.ndarray, other: np.ndarray) -> float:
    """How many rows differ in any bit."""
    rows = len(reference)
    return float((reference.reshape(rows, -1) != other.reshape(rows, -1)).any(axis=1).sum())


def of_largest(reference: np.ndarray, other: np.ndarray) -> float:
    """The largest difference as a share of the largest magnitude."""
    return _share(np.abs(_difference(reference, other)).max(), np.abs(reference).max())


def of_length(reference: np.ndarray, other: np.ndarray) -> float:
    """The length of the difference as a share of the length (Euclidean norms)."""
    return _share(
        np.linalg.norm(_difference(reference, other)),
        np.linalg.norm(reference.astype(np.float64)),
    )


def of_each(reference: np.ndarray, other: np.ndarray) -> float:
    """The largest of the differences, each as a share of its own magnitude."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.abs(_difference(reference, other)) / np.abs(reference)
    return float(np.where(reference == other, 0, shares).max())


def _difference(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    return other.astype(np.float64) - reference.astype(np.float64)


def _share(error: float, size: float) -> float:
    if error == 0:
        return 0.0
    return float(error / size) if size else np.inf


# --- Rungs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rung:
    """A rung: what is compared, how, and how far it may differ, with the reason for that.

    Where a quantity is there for several `batches`, the one that agrees best counts.
    """

    name: str
    quantity: str
    error: Error
    unit: str
    tolerance: float
    reason: str
    batches: bool = False


_LARGEST = "share of the largest value"
_LENGTH = "share of a layer's length, the worst layer"

RUNGS = (
    Rung(
        "sample order",
        "sample order",
        differing,
        "steps with other images",
        0,
        "integers from one source",
    ),
    Rung(
        "augmented pixels",
        "augmented pixels",
        of_largest,
        _LARGEST,
        2e-5,
        "positions in float32 leave about 4e-6 of a pixel to the interpolation",
    ),
    Rung(
        "preprocessing as the library's",
        "pixels",
        of_largest,
        _LARGEST,
        1e-5,
        "one multiplication and one addition in float32, and a resize",
    ),
    Rung(
        "initial weights",
        "initial weights",
        differing,
        "tensors that differ in any bit",
        0,
        "copied from one source",
    ),
    Rung(
        "converted weights in the library's net",
        "features",
        of_largest,
        _LARGEST,
        1e-5,
        "float32 sums of up to 9216 terms in another order",
    ),
    Rung(
        "forward pass",
        "forward",
        of_largest,
        _LARGEST,
        1e-5,
        "float32 sums of up to 9216 terms in another order",
    ),
    Rung("loss", "loss", of_each, "share of the loss", 1e-5, "the forward pass's error"),
    Rung(
        "gradients",
        "gradients",
        of_length,
        _LENGTH,
        2e-5,
        "float32 sums over images and positions in another order, through all layers; the best of "
        "four batches, since rounding may move the maximum of a pooling window in one",
        batches=True,
    ),
    Rung(
        "dropout: loss",
        "dropout loss",
        of_each,
        "share of the loss",
        1e-5,
        "as the loss: the same units are dropped",
    ),
    Rung(
        "dropout: gradients",
        "dropout gradients",
        of_length,
        _LENGTH,
        2e-5,
        "as the gradients: the same units are dropped",
        batches=True,
    ),
    Rung(
        "one Adam step",
        "change 1",
        of_length,
        "share of the change of a layer, the worst layer",
        1e-3,
        "weights are rounded to float32, of which a step is a small part; the gradients are given",
    ),
    Rung(
        "20 Adam steps",
        "change 20",
        of_length,
        "share of the change of a layer, the worst layer",
        1e-3,
        "as one step",
    ),
    Rung(
        "loss over {steps} steps",
        "loss curve",
        of_each,
        "share of a step's loss, the worst step",
        1e-2,
        "training multiplies rounding errors, even at 0.003 of the study's rate",
    ),
    Rung(
        "evaluation of the same trained weights",
        "evaluation",
        of_largest,
        _LARGEST,
        1e-5,
        "as the forward pass",
    ),
)


def compare(measurements: list[Measurement]) -> pd.DataFrame:
    """The ladder: a row a twin, pair of frameworks and rung."""
    _check_twins(measurements)
    reference, *others = measurements
    rows = [
        row
        for twin in reference.twins
        for other in others
        for rung in RUNGS
        if (row := _row(rung, twin, reference, other)) is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _check_twins(measurements: list[Measurement]) -> None:
    for first, second in pairwise(measurements):
        if first.twins != second.twins:
            raise InputError(
                f"parity: {first.framework} measured {', '.join(first.twins)}, "
                f"{second.framework} {', '.join(second.twins)}; measure both again"
            )


def _row(
    rung: Rung, twin: str, reference: Measurement, other: Measurement
) -> dict[str, Any] | None:
    batches = list(_batches(rung, twin, reference, other))
    if not batches:
        return None
    steps = np.size(batches[0][0][0])
    worst = min(_worst(rung.error, pairs) for pairs in batches)
    return {
        "rung": rung.name.format(steps=steps),
        "max_error": worst,
        "tolerance": rung.tolerance,
        "passed": bool(worst <= rung.tolerance),
        "twin": twin,
        "frameworks": f"{reference.framework}, {other.framework}",
        "unit": rung.unit,
        "reason": rung.reason,
    }


def _batches(rung: Rung, twin: str, reference: Measurement, other: Measurement):
    """The pairs to compare, of each batch that was measured, or of the one quantity."""
    for number in count(1):
        name = f"{rung.quantity} of batch {number}" if rung.batches else rung.quantity
        pairs = list(_pairs(twin, name, reference, other))
        if pairs:
            yield pairs
        if not (pairs and rung.batches):
            return


def _worst(error: Error, pairs: list[tuple[np.ndarray | None, np.ndarray | None]]) -> float:
    """The largest error; a number that is no number, and a tensor that is missing, is no agreement."""
    errors = [_error(error, first, second) for first, second in pairs]
    return max((np.inf if np.isnan(each) else each for each in errors), default=np.inf)


def _pairs(twin: str, quantity: str, reference: Measurement, other: Measurement):
    """What to compare: one framework's tensors with the other's, and each with a library's own.

    Tensors count layer by layer: a bias before batch normalisation has no gradient but rounding.
    """
    first, second = _by_layer(reference.of(twin, quantity)), _by_layer(other.of(twin, quantity))
    for name in sorted(first.keys() | second.keys()):
        yield first.get(name), second.get(name)
    for library in (reference, other):
        for theirs in library.of(twin, f"library {quantity}").values():
            for ours in (first, second):
                yield theirs, ours.get("")


def _by_layer(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of each layer as one; a quantity of one tensor alone stays as it is."""
    layers: dict[str, list[np.ndarray]] = {}
    for name in sorted(tensors):
        layers.setdefault(name.rsplit("/", 1)[0], []).append(tensors[name])
    return {layer: np.concatenate(parts) if layer else parts[0] for layer, parts in layers.items()}


def _error(error: Error, first: np.ndarray | None, second: np.ndarray | None) -> float:
    if first is None or second is None or first.shape != second.shape:
        return np.inf
    return error(first, second)


# --- Report ------------------------------------------------------------------------------------


def table(ladder: pd.DataFrame) -> dict[str, list[Any]]:
    """A row a rung, a column a twin with its largest errors; failed rungs stand out."""
    names = _columns(ladder)
    rows = []
    for rung, entries in sorted(ladder.groupby("rung", sort=False), key=_position):
        found = {_column(entry, ladder): entry for entry in entries.to_dict("records")}
        first = next(iter(found.values()))
        errors = [_shown(found[name]) if name in found else "-" for name in names]
        rows.append([rung, *errors, f"{first['tolerance']:.2g}", first["unit"], first["reason"]])
    return {"header": ["rung", *names, "tolerance", "error counts", "why not less"], "rows": rows}


def _position(group: tuple[str, pd.DataFrame]) -> int:
    """Where a rung stands, whichever number of steps its name holds."""
    places = {rung.name.split("{")[0]: place for place, rung in enumerate(RUNGS)}
    name = re.split(r"(?<= )\d+ steps$", group[0])[0]
    return places.get(group[0], places.get(name, len(places)))


def findings(ladder: pd.DataFrame) -> list[str]:
    """For each twin the deepest rung that holds, or loudly the first one that does not."""
    return [
        _finding(
            name, ladder[[name == _column(entry, ladder) for entry in ladder.to_dict("records")]]
        )
        for name in _columns(ladder)
    ]


def failures(ladder: pd.DataFrame) -> list[str]:
    """The twins of which a rung fails."""
    return list(dict.fromkeys(ladder.loc[~ladder["passed"], "twin"]))


def _columns(ladder: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(_column(entry, ladder) for entry in ladder.to_dict("records")))


def _column(entry: dict[str, Any], ladder: pd.DataFrame) -> str:
    several = ladder["frameworks"].nunique() > 1
    return f"{entry['twin']} ({entry['frameworks']})" if several else entry["twin"]


def _shown(entry: dict[str, Any]) -> str:
    error = f"{entry['max_error']:.2g}"
    return error if entry["passed"] else f"**{error} FAILS**"


def _finding(name: str, rungs: pd.DataFrame) -> str:
    frameworks = " and ".join(rungs["frameworks"].iloc[0].split(", "))
    failed = rungs[~rungs["passed"]]
    if failed.empty:
        return (
            f"{name}: all {len(rungs)} rungs hold between {frameworks}, "
            f'down to "{rungs["rung"].iloc[-1]}".'
        )
    first = failed.iloc[0]
    held = rungs.loc[: first.name].iloc[:-1]
    deepest = (
        f'the last that holds before it is "{held["rung"].iloc[-1]}"'
        if len(held)
        else "none holds before it"
    )
    return (
        f'**{name}: {frameworks} do NOT do the same. The rung "{first["rung"]}" fails** (error '
        f"{first['max_error']:.2g}, tolerance {first['tolerance']:.2g}); {deepest}. "
        f"{len(failed)} of {len(rungs)} rungs fail."
    )
