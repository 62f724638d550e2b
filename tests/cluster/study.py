"""The study that the tests of clusters and containers run, and what its outcome is."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import yaml
from support import ROOT
from tiny import TINY

STUDY = TINY | {
    "training": {**TINY["training"], "epochs": 3},
    "images": str(ROOT / "images"),
}
RUNS = ("pytorch-scratch", "pytorch-pretrained", "tensorflow-scratch", "tensorflow-pretrained")
# With the profile for Slurm, as many threads as in a local run: the last bits depend on it.
_GPU_RULES = [
    f"{work}_{framework}"
    for work in ("train", "pretrain_proxy", "measure")
    for framework in ("pytorch", "tensorflow")
]
SLURM = (
    *("--profile", str(ROOT / "profiles" / "slurm")),
    *("--set-threads", *(f"{rule}=1" for rule in _GPU_RULES)),
    *("--slurm-init-seconds-before-status-checks", "3"),
)
# Four trainings at once: one thread for each.
LOCAL = ("--workflow-profile", str(ROOT / "profiles" / "default"), "--cores", "2")


def workplace(folder: Path) -> Path:
    """The folder, with all that a user has: the config and an overlay."""
    shutil.copytree(ROOT / "config", folder / "config")
    (folder / "overlay.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def snakemake(folder: Path, environment: dict, *arguments: str) -> subprocess.Popen:
    """Snakemake started as a user would; its messages go to snakemake.log."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    with open(folder / "snakemake.log", "a") as messages:
        return subprocess.Popen(
            [*command, "--configfile", "overlay.yaml", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
        )


def log(folder: Path) -> str:
    return (folder / "snakemake.log").read_text()[-5000:]


def run_folder(folder: Path, run: str) -> Path:
    return folder / "results" / "tiny" / "runs" / run / "seed-1"


def outcome(folder: Path) -> dict[str, bytes]:
    """All of a run that does not tell the time: predictions, weights, the history but for its times."""
    history = pd.read_csv(folder / "history.csv")
    parts = {
        "history": history.drop(columns=["seconds", "images_per_second"]).to_csv().encode(),
        "predictions": (folder / "predictions.parquet").read_bytes(),
    }
    if (folder / "model.safetensors").exists():
        return parts | {"weights": (folder / "model.safetensors").read_bytes()}
    with zipfile.ZipFile(folder / "model.keras") as archive:
        return parts | {"weights": archive.read("model.weights.h5")}


def tables(folder: Path) -> dict[str, bytes]:
    """What is concluded from the runs, and how alike the twins were measured to be."""
    names = ("comparisons.csv", "parity.csv", "parity-audit.csv")
    return {name: (folder / "results" / "tiny" / name).read_bytes() for name in names}
