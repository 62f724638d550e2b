"""Random generators, one for each purpose and place."""

import numpy as np

_STREAMS = {"order": 1, "augmentation": 2, "dropout": 3, "weights": 4, "native": 5}


def random_generator(seed: int, stream: str, *counters: int) -> np.random.Generator:
    """The generator of one purpose (order, augmentation, dropout, weights, native) at one place."""
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([seed, _STREAMS[stream], *counters]))
    )


def step_seed(seed: int, epoch: int, step: int) -> int:
    """The seed of a framework's own generator for one step, in native runs."""
    return int(random_generator(seed, "native", epoch, step).integers(1 << 31))
