"""What tests of several rooms use: the project's places, settings, drawn splits, jobs."""

from pathlib import Path

import numpy as np
from twinbench.architecture import ARCHITECTURES
from twinbench.configuration import Configuration
from twinbench.dataset import Batch, Records, groups
from twinbench.job import Job
from twinbench.synthetic_split import draw_split

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


def read_all(batches: list[Batch]) -> Records:
    """The records of a small archive's batches, all in memory."""
    parts = list(groups(batches))
    return Records(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def training_settings(**changes) -> dict:
    """The schema's default settings of a run, changed by key."""
    run = {"framework": "pytorch", "model": "alexnet32", "weights": "none", **changes}
    config = {"runs": {"run": run}, "report": {"reference": None}}
    return Configuration(config, SCHEMA).training("run")


def make_job(model="alexnet32", images=48, seed=1, pretrained=None, threads=2, **changes) -> Job:
    """A small job on drawn images; `changes` are training settings."""
    settings = {"batch_size": 16, "epochs": 2, "precision": "float32", **changes}
    return Job(
        run="run",
        seed=seed,
        architecture=ARCHITECTURES[model],
        settings=training_settings(model=model, **settings),
        train=draw_split("target", images, 1),
        validation=draw_split("target", 20, 2),
        test=draw_split("target", 20, 3),
        pretrained=pretrained or {},
        net_normalisation=bool(pretrained),
        threads=threads,
    )
