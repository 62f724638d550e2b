"""Results that somebody reported elsewhere, which a study sets beside its own."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from twinbench.config.base import Fraction, Number, PositiveInteger, PositiveNumber, Settings
from twinbench.files import readable


class ReportedRun(Settings):
    """What somebody reported of a run: accuracies as fractions, times in seconds, losses in nats."""

    test_accuracy: Fraction
    train_accuracy: Fraction | None = None
    train_loss: Annotated[Number, Field(ge=0)] | None = None
    seconds_per_epoch: PositiveNumber | None = None


class Reference(Settings):
    """Results that were reported elsewhere; `dataset` is what the images are, and `test_images` how many
    images each accuracy was measured on."""

    title: str
    note: str = ""
    dataset: Literal["cifar10", "synthetic", "own"]
    epochs: PositiveInteger
    test_images: PositiveInteger
    runs: dict[str, ReportedRun]


def read_reference(path: Path) -> Reference:
    """Read results reported elsewhere; config/reference.yaml shows the form. Raises `InputError`."""
    with readable(path, "see config/reference.yaml"):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"not readable YAML ({error})") from None
        return Reference.model_validate(content)
