"""The study that the tests of clusters and containers run."""

import subprocess
from pathlib import Path

from support import ROOT
from tiny import TINY, Workplace

PRETRAINED = TINY["runs"]
STUDY = TINY | {
    "training": TINY["training"] | {"epochs": 3},
    # One pretraining is enough to see.
    "runs": PRETRAINED
    | {"tensorflow-pretrained": PRETRAINED["tensorflow-pretrained"] | {"weights": "none"}},
    "container_images": {
        name: str(ROOT / "images" / f"{name}.sif") for name in ("pytorch", "tensorflow", "analysis")
    },
}
# Trainings and what is concluded from them; figures and report are no different on a cluster.
TARGET = "results/tiny/comparisons.csv"
# The last bits of a result depend on the number of threads.
_GPU_RULES = [
    f"{work}_{backend}"
    for work in ("train", "pretrain_weights")
    for backend in ("pytorch", "tensorflow")
]
_ONE_THREAD = ("--set-threads", *(f"{rule}=1" for rule in _GPU_RULES))
SLURM = (
    *("--profile", "profiles/slurm", *_ONE_THREAD),
    *("--slurm-init-seconds-before-status-checks", "1"),
)
LOCAL = ("--workflow-profile", "profiles/default", *_ONE_THREAD)


def start(place: Workplace, *arguments: str) -> subprocess.Popen:
    """Snakemake in a copy of the project; its messages go to snakemake.log."""
    with open(place.folder / "snakemake.log", "a") as messages:
        return place.start(
            *(TARGET, *arguments),
            overlay=STUDY,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
        )


def log(place: Workplace) -> str:
    return (place.folder / "snakemake.log").read_text()


def run_folder(place: Workplace, run: str) -> Path:
    return place.results / "tiny" / "runs" / run / "seed-1"
