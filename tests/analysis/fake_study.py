"""Run folders as training leaves them, made of random numbers in milliseconds."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from twinbench.analysis.results import StudySettings, TrainedModel, trained_models
from twinbench.config.arguments import to_arguments
from twinbench.training.recorded import DEAD

CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer"]
CLASS_NAMES += ["dog", "frog", "horse", "ship", "truck"]
DIAGNOSIS = f"one class for all images; {DEAD} 100% in conv1"
SETTINGS = {
    "protocol": "harmonised",
    "precision": "auto",
    "epochs": 8,
    "batch_size": 128,
    "learning_rate": 0.001,
}
FINE_TUNING = {**SETTINGS, "learning_rate": 0.0001}
DATASET = {
    "name": "cifar10-1a2b3c4d",
    "source": "cifar10",
    "class_names": CLASS_NAMES,
    "train_images": 45_000,
    "sha256": {"train": "12" * 32, "validation": "34" * 32, "test": "56" * 32},
}


@dataclass
class FakeRun:
    """What one run of a fake study shall look like; runs of equal `noise` predict alike."""

    framework: str = "pytorch"
    model: str = "alexnet"
    weights: str = "none"
    accuracy: float = 0.7
    noise: int = 0
    seconds: float = 300.0
    collapsed: bool = False
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))


FOUR = {
    "pytorch-scratch": FakeRun(accuracy=0.71, noise=1),
    "pytorch-pretrained": FakeRun(
        "pytorch", "torchvision-alexnet", "synthetic", 0.78, 2, 900, settings=FINE_TUNING
    ),
    "tensorflow-scratch": FakeRun("tensorflow", accuracy=0.715, noise=3, seconds=350),
    "tensorflow-pretrained": FakeRun(
        "tensorflow", "keras-vgg16", "synthetic", 0.82, 4, 2400, settings=FINE_TUNING
    ),
}


class FakeStudy:
    """Writes run folders, and knows the settings that the entry scripts get."""

    def __init__(
        self,
        folder: Path,
        runs: dict[str, FakeRun] = FOUR,
        seeds: Iterable[int] = (0,),
        images: int = 1000,
    ) -> None:
        self.directory = folder / "runs"
        facts = {
            name: {
                "framework": run.framework,
                "model": run.model,
                "weights": run.weights,
                "training": run.settings,
            }
            for name, run in runs.items()
        }
        self.settings = StudySettings.model_validate(
            {"runs": facts, "seeds": list(seeds), "training": {}}
        )
        for name, run in runs.items():
            for seed in self.settings.seeds:
                write_run(self.directory, name, run, seed, images)

    def folder(self, run: str, seed: int = 0) -> Path:
        return self.directory / run / f"seed-{seed}"

    @property
    def arguments(self) -> list[str]:
        """The settings as the entry scripts take them: one `key=value` each."""
        return list(to_arguments(self.settings).values())

    @property
    def models(self) -> list[TrainedModel]:
        return trained_models(self.directory, self.settings)

    def edit_provenance(self, run: str, seed: int = 0, /, **changes: Any) -> None:
        path = self.folder(run, seed) / "provenance.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(found | changes), encoding="utf-8")


def write_run(directory: Path, name: str, run: FakeRun, seed: int, images: int) -> None:
    """Write history.csv, predictions.parquet and provenance.json of one run and seed."""
    folder = directory / name / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    history = _history(run, seed)
    history.to_csv(folder / "history.csv", index=False)
    write_predictions(folder / "predictions.parquet", *_predictions(run, seed, images))
    (folder / "provenance.json").write_text(
        json.dumps(_provenance(run, seed, history)), encoding="utf-8"
    )


def write_predictions(
    path: Path, sample_ids: np.ndarray, labels: np.ndarray, logits: Sequence[np.ndarray]
) -> None:
    """Write `predictions.parquet` as training does; logits of equal width as fixed-size lists."""
    widths = {len(row) for row in logits}
    kind = pa.list_(pa.float32(), widths.pop() if len(widths) == 1 else -1)
    columns = {
        "sample_id": pa.array(sample_ids, pa.int64()),
        "label": pa.array(labels, pa.int64()),
        "logits": pa.array([list(row) for row in logits], kind),
    }
    metadata = {"class_names": json.dumps(CLASS_NAMES)}
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, path, write_page_checksum=True)


def _predictions(run: FakeRun, seed: int, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sample_ids, labels, logits: wrong answers fall more often on the neighbouring class."""
    random = np.random.default_rng([run.noise, seed])
    labels = np.arange(images) % 10
    logits = random.normal(0, 1, (images, 10)).astype(np.float32)
    if run.collapsed:
        logits = np.tile(np.linspace(0, 0.01, 10, dtype=np.float32), (images, 1))
    else:
        right = random.random(images) < run.accuracy + random.normal(0, 0.004)
        other = (labels + random.choice([1, 2, 9], images)) % 10
        logits[np.arange(images), np.where(right, labels, other)] += 6
    return np.arange(images), labels, logits


def _history(run: FakeRun, seed: int) -> pd.DataFrame:
    epochs = np.arange(1, run.settings["epochs"] + 1)
    random = np.random.default_rng([run.noise, seed, 1])
    rise = np.zeros(len(epochs)) if run.collapsed else 1 - np.exp(-epochs / 2.5)
    accuracy = 0.1 + (run.accuracy - 0.1) * rise + random.normal(0, 0.002, len(epochs))
    loss = np.log(10) * (1 - (accuracy - 0.1))
    seconds = run.seconds / len(epochs)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "phase": "all",
            "input_size": 32,
            "seconds": seconds,
            "images_per_second": 45000 / seconds,
            "learning_rate": 0.001,
            "train_loss": loss * 0.95,
            "train_accuracy": np.minimum(accuracy * 1.02, 1),
            "validation_loss": loss,
            "validation_accuracy": accuracy,
        }
    )


def _provenance(run: FakeRun, seed: int, history: pd.DataFrame) -> dict[str, Any]:
    return {
        "seed": seed,
        "framework": run.framework,
        "model": run.model,
        "weights": {
            "source": run.weights,
            "file": None,
            "sha256": None if run.weights == "none" else "ab" * 32,
        },
        "settings": run.settings,
        "precision": "float32",
        "device": "cpu",
        "accelerator": None,
        "device_note": None,
        "threads": 2,
        "parameters": 35_000_000,
        "layers": [f"conv{number}: 3x3, 64" for number in range(1, 6)] + ["dense: 10"],
        "epochs_run": len(history),
        "selected_epoch": int(history["validation_accuracy"].idxmax()) + 1,
        "status": "collapsed" if run.collapsed else "completed",
        "diagnosis": DIAGNOSIS if run.collapsed else None,
        "dataset": DATASET,
        "versions": {"python": "3.11.2", "torch" if run.framework == "pytorch" else "keras": "1.0"},
        "git": {"commit": "0123456789abcdef", "dirty": False},
        "started": "2026-01-01T00:00:00+00:00",
        "total_seconds": run.seconds,
    }
