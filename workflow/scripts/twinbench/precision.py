"""Which arithmetic a training uses: as set, or the faster one by a short measurement on its device."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Sides of the square matrices whose products are timed: at first small ones, since some processors
# only emulate bfloat16. There a large product takes seconds, which a look at a small one saves.
_FIRST_SIDE, _SIDE = 256, 1024
# Of float32's rate, at the first look: other work on the machine does not slow one alone so much.
_HOPELESS = 1 / 4
# Products in turn, so that other work on the machine slows both alike. With two busy processes beside it
# on two cores, five of each in a row chose wrongly in 6 of 24 trials, twenty in turn in none of 15.
_REPETITIONS = 20
# A training is no matrix product alone: less of a gain than this is none.
_WORTH_IT = 1.2


@dataclass(frozen=True)
class Precision:
    """`name` is `float32` or `bfloat16`; `gflops` has billions of operations a second of each, if they
    were measured."""

    name: str
    gflops: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.gflops:
            return self.name
        ratio = self.gflops["bfloat16"] / self.gflops["float32"]
        return f"{self.name} (bfloat16 products are {ratio:.2g} times as fast here)"


def choose(setting: str, multiply: Callable[[str, int], Callable[[], object]]) -> Precision:
    """The precision for a `setting` of float32, bfloat16 or auto.

    `multiply(precision, side)` gives a function that multiplies two matrices (side, side) and ends when
    the product is there. Only auto measures, for about a second where products run at 100 GFLOP/s.
    """
    if setting != "auto":
        return Precision(setting)
    gflops = _measure(multiply, _FIRST_SIDE)
    if gflops["bfloat16"] > _HOPELESS * gflops["float32"]:
        gflops = _measure(multiply, _SIDE)
    faster = gflops["bfloat16"] > _WORTH_IT * gflops["float32"]
    return Precision("bfloat16" if faster else "float32", gflops)


def _measure(multiply: Callable[[str, int], Callable[[], object]], side: int) -> dict[str, float]:
    products = {name: multiply(name, side) for name in ("float32", "bfloat16")}
    for product in products.values():
        product()  # the first one makes ready what the others use
    rounds = [[_seconds(product) for product in products.values()] for _ in range(_REPETITIONS)]
    shortest = map(min, zip(*rounds, strict=True))
    return {n: 2 * side**3 / s / 1e9 for n, s in zip(products, shortest, strict=True)}


def _seconds(product: Callable[[], object]) -> float:
    start = time.perf_counter()
    product()
    return time.perf_counter() - start
