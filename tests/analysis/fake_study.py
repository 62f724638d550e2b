"""Run folders as training leaves them, drawn from random numbers in milliseconds."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CLASS_NAMES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]


@dataclass
class FakeRun:
    """What one run of a fake study shall look like."""

    framework: str = "pytorch"
    model: str = "alexnet"
    weights: str = "none"
    accuracy: float = 0.7
    collapsed: bool = False
    predictions_seed: int = 0
    total_seconds: float = 300.0
    settings: dict = field(default_factory=lambda: {"epochs": 8, "optimiser": {"rate": 0.001}})


FOUR = {
    "pytorch-scratch": FakeRun(accuracy=0.71, predictions_seed=1),
    "pytorch-pretrained": FakeRun(
        model="torchvision-alexnet",
        weights="proxy",
        accuracy=0.78,
        predictions_seed=2,
        total_seconds=900,
        settings={"epochs": 8, "optimiser": {"rate": 0.0001}},
    ),
    "tensorflow-scratch": FakeRun(
        framework="tensorflow", accuracy=0.715, predictions_seed=3, total_seconds=350
    ),
    "tensorflow-pretrained": FakeRun(
        framework="tensorflow",
        model="keras-vgg16",
        weights="proxy",
        accuracy=0.82,
        predictions_seed=4,
        total_seconds=2400,
        settings={"epochs": 8, "optimiser": {"rate": 0.0001}},
    ),
}


class FakeStudy:
    """Writes run folders, and knows the settings that the entries get."""

    def __init__(self, folder: Path, runs: dict[str, FakeRun], seeds: list[int], images: int):
        self.directory = folder / "runs"
        self.runs, self.seeds, self.images = runs, seeds, images
        for name, run in runs.items():
            for seed in seeds:
                write_run(self.directory, name, run, seed, images)

    @property
    def settings(self) -> dict:
        return {
            "runs": {
                name: {"framework": run.framework, "model": run.model, "weights": run.weights}
                for name, run in self.runs.items()
            },
            "seeds": self.seeds,
            "equivalence_margin": 0.01,
        }

    def folder(self, run: str, seed: int = 0) -> Path:
        return self.directory / run / f"seed-{seed}"


def write_run(directory: Path, name: str, run: FakeRun, seed: int, images: int) -> None:
    """Write history.csv, predictions.parquet and provenance.json of one run and seed."""
    folder = directory / name / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    history = fake_history(run, seed)
    history.to_csv(folder / "history.csv", index=False)
    write_predictions(folder / "predictions.parquet", *fake_predictions(run, seed, images))
    provenance = fake_provenance(name, run, seed, history, images)
    (folder / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")


def fake_predictions(run: FakeRun, seed: int, images: int):
    """sample_ids, labels, logits: wrong answers fall more often on the neighbouring class."""
    random = np.random.default_rng([run.predictions_seed, seed])
    labels = np.arange(images) % 10
    logits = random.normal(0, 1, (images, 10)).astype(np.float32)
    if run.collapsed:
        logits = np.tile(np.linspace(0, 0.01, 10, dtype=np.float32), (images, 1))
    else:
        right = random.random(images) < run.accuracy + random.normal(0, 0.004)
        other = (labels + random.choice([1, 2, 9], images)) % 10
        logits[np.arange(images), np.where(right, labels, other)] += 6
    return np.arange(images), labels, logits


def write_predictions(path: Path, sample_ids, labels, logits, class_names=CLASS_NAMES) -> None:
    """Write `predictions.parquet`; logits of equal width as fixed-size lists, as training does."""
    widths = {len(row) for row in logits}
    kind = pa.list_(pa.float32(), widths.pop() if len(widths) == 1 else -1)
    table = pa.table(
        {
            "sample_id": pa.array(sample_ids, pa.int64()),
            "label": pa.array(labels, pa.int64()),
            "logits": pa.array([list(row) for row in logits], kind),
        }
    )
    pq.write_table(table.replace_schema_metadata({"class_names": json.dumps(class_names)}), path)


def fake_history(run: FakeRun, seed: int) -> pd.DataFrame:
    epochs = np.arange(1, run.settings["epochs"] + 1)
    random = np.random.default_rng([run.predictions_seed, seed, 1])
    rise = 1 - np.exp(-epochs / 2.5)
    accuracy = 0.1 + (run.accuracy - 0.1) * rise + random.normal(0, 0.01, len(epochs))
    if run.collapsed:
        accuracy = np.full(len(epochs), 0.1) + random.normal(0, 0.002, len(epochs))
    loss = np.log(10) * (1 - (accuracy - 0.1))
    seconds = np.full(len(epochs), run.total_seconds / len(epochs))
    return pd.DataFrame(
        {
            "epoch": epochs,
            "phase": "all",
            "seconds": seconds,
            "images_per_second": 45000 / seconds,
            "learning_rate": 0.001,
            "train_loss": loss * 0.95,
            "train_accuracy": np.minimum(accuracy * 1.02, 1),
            "validation_loss": loss,
            "validation_accuracy": accuracy,
        }
    )


def fake_provenance(name: str, run: FakeRun, seed: int, history: pd.DataFrame, images: int) -> dict:
    collapse = "one class for all images; loss at ln 10: lower the learning rate"
    return {
        "run": name,
        "seed": seed,
        "framework": run.framework,
        "model": run.model,
        "weights": {"source": run.weights, "file": "proxy.safetensors", "sha256": "ab" * 32},
        "settings": run.settings,
        "precision": "float32",
        "device": "cpu",
        "threads": 2,
        "dataset": {
            "name": "cifar10",
            "source": "cifar10",
            "train_images": 45000,
            "validation_images": 5000,
            "test_images": images,
            "sha256": {"train": "12" * 32, "test": "34" * 32},
        },
        "versions": {"python": "3.11.2", "torch" if run.framework == "pytorch" else "keras": "1.0"},
        "git": {"commit": "0123456789abcdef", "dirty": False},
        "parameters": 35_000_000,
        "layers": [f"conv{number}: 3x3, 64" for number in range(1, 6)] + ["dense: 10"],
        "epochs_run": len(history),
        "chosen_epoch": int(history["validation_accuracy"].idxmax()) + 1,
        "total_seconds": run.total_seconds,
        "status": "collapsed" if run.collapsed else "completed",
        "diagnosis": collapse if run.collapsed else None,
        "started": "2026-01-01T00:00:00+00:00",
    }
