"""Results that somebody reported elsewhere, which a study sets beside its own."""

from pathlib import Path

import yaml

from twinbench.analysis.reading import Record, readable


class ReportedRun(Record):
    """What somebody reported of a run: accuracies as fractions, times in seconds."""

    seconds_per_epoch: float
    train_loss: float
    test_accuracy: float


class Reference(Record):
    """Results that were reported elsewhere; `dataset` is what the images are (`reading.Dataset.kind`), and
    `test_images` how many images each accuracy was measured on."""

    title: str
    note: str
    dataset: str
    epochs: int
    test_images: int
    runs: dict[str, ReportedRun]


def read_reference(path: Path) -> Reference:
    """Read results reported elsewhere; config/reference.yaml shows the form."""
    with readable(path, "see config/reference.yaml"):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"not readable YAML ({error})") from None
        return Reference.model_validate(content)
