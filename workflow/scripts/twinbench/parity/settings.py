"""What a parity measurement gets: its cases, each a network with its initial weights."""

from twinbench.config.base import Settings
from twinbench.config.training import Training


class Case(Settings):
    """A network with its initial weights, and the settings of its training."""

    model: str
    weights: str
    weights_id: str | None
    training: Training


class ParitySettings(Settings):
    """What one backend measures, with the study's first seed."""

    seed: int
    cases: dict[str, Case]
