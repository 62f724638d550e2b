"""What the report reads beside the runs: a failed parity suite and audit, the data's statistics."""

from pathlib import Path

import pandas as pd
from analysis.fake_study import CLASS_NAMES
from twinbench.report.inputs import DataStatistics

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "workflow" / "report"
REFERENCE = ROOT / "config" / "reference.yaml"

PARITY = pd.DataFrame(
    {
        "check": ["forward", "adam"],
        "max_error": [1e-7, 1.0],
        "tolerance": 1e-5,
        "passed": [True, False],
        "case": "alexnet",
        "frameworks": "pytorch, tensorflow",
        "unit": "fraction",
        "reason": "rounding",
    }
)
AUDIT = pd.DataFrame(
    {
        "setting": ["loss", "padding"],
        "case": "alexnet",
        "pytorch": ["mean", "1"],
        "tensorflow": ["mean", "2"],
        "pytorch_own": ["mean", "Conv2d"],
        "tensorflow_own": ["sum_over_batch_size", "Conv2D"],
        "status": ["same", "NOT ACCOUNTED FOR"],
        "reason": "",
    }
)


def data_statistics(limit: int | None = None) -> DataStatistics:
    return DataStatistics(
        class_names=CLASS_NAMES,
        counts={split: dict.fromkeys(CLASS_NAMES, 100) for split in ("train", "test")},
        mean=[0.49, 0.48, 0.45],
        std=[0.247, 0.243, 0.262],
        validation_fraction=0.1,
        seed=0,
        limit=limit,
    )
