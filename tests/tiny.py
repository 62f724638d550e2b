"""A shrunken study in a copy of the project, and whether two studies have the same results."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import yaml
from support import ROOT

# Four runs on a hundred images, two of them with synthetic weights.
TINY = {
    "study": "tiny",
    "dataset": {
        "source": "synthetic",
        "synthetic": {"train_images": 120, "test_images": 100},
        "validation_fraction": 0.2,
    },
    "weights": {"synthetic": {"images": 100, "epochs": 1, "batch_size": 32}},
    # Tests change the learning rate and the angle.
    "training": {
        "epochs": 2,
        "batch_size": 32,
        "learning_rate": 0.0007,
        "augmentation": {"rotation_degrees": 15},
    },
    "runs": {
        "pytorch-pretrained": {"weights": "synthetic", "input_size": 64, "head": {"epochs": 0}},
        "tensorflow-pretrained": {
            "weights": "synthetic",
            "input_size": 32,
            "progressive_resizing": {"epochs": 0},
            "head": {"epochs": 0},
        },
    },
}
# One run on an archive and weights that come from elsewhere: here from own.tar.gz.
ARCHIVE = b"images"
FETCHED = {
    "study": "fetched",
    "dataset": {"archive": "own.tar.gz", "sha256": hashlib.sha256(ARCHIVE).hexdigest()},
    "runs": dict.fromkeys(["pytorch-scratch", "tensorflow-scratch", "tensorflow-pretrained"]),
}
RUNS = ("pytorch-scratch", "pytorch-pretrained", "tensorflow-scratch", "tensorflow-pretrained")

PROJECT = ("Snakefile", "README.md", ".gitignore", "config", "envs", "profiles", "workflow")
ARCHITECTURES = Path("workflow/scripts/twinbench/networks/architectures.py")
# Networks of a few weights train in no time. They are not the libraries' own any more, so the parity
# suite does not compare them with these.
NARROW = (
    (r'(Convolution\("\w+", )\d+', r"\g<1>4"),
    (r"(_vgg_block\(\d, \d, )\d+", r"\g<1>4"),
    (r'(Dense\("\w+", )\d+', r"\g<1>32"),
    (r'(library_name=)"\w+"', r"\g<1>None"),
)


@dataclass(frozen=True)
class Workplace:
    """A copy of the project, in which the workflow is called as a user would.

    `variables` are added to the environment.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": search_path(Path(sys.executable).parent)} | self.variables

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def arguments(self, *arguments: str, overlay: dict | None = None) -> list[str]:
        """Snakemake's arguments; the overlay is written beside the config."""
        if overlay is None:
            return ["--cores", "2", *arguments]
        (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay, sort_keys=False))
        return ["--cores", "2", *arguments, "--configfile", "overlay.yaml"]

    def start(self, *arguments: str, overlay: dict | None = None, **options) -> subprocess.Popen:
        command = [sys.executable, "-m", "snakemake", *self.arguments(*arguments, overlay=overlay)]
        return subprocess.Popen(
            command, cwd=self.folder, **{"env": self.environment, "text": True} | options
        )

    def snakemake(self, *arguments: str, overlay: dict | None = None, timeout: float = 900):
        """Run Snakemake to its end; `stdout` holds all that it says."""
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = self.start(*arguments, overlay=overlay, **pipe)
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, output)


def search_path(folder: Path) -> str:
    """The search path for programs, with a folder before it."""
    return f"{folder}:{os.environ['PATH']}"


def copy_project(folder: Path) -> Workplace:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    return Workplace(folder)


def copy_narrow_project(folder: Path) -> Workplace:
    place = copy_project(folder)
    text = (folder / ARCHITECTURES).read_text()
    for pattern, replacement in NARROW:
        text, count = re.subn(pattern, replacement, text)
        assert count, f"nothing in {ARCHITECTURES} matches {pattern}"
    (folder / ARCHITECTURES).write_text(text)
    return place


# Times differ from run to run, and so does what is made of times.
TIMES = re.compile(r"seconds|images_per_second|gflops|^started$")
OF_TIMES = re.compile(r"\.log$|\.jsonl$|/(report|summary)\.\w+$|/accuracy_time\.")


def differences(first: Path, second: Path) -> list[str]:
    """The files of two folders that differ, times excepted."""
    contents = [
        {
            _name(path.relative_to(folder)): path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not OF_TIMES.search(str(path))
        }
        for folder in (first, second)
    ]
    differing = [f"{name}: in one alone" for name in contents[0].keys() ^ contents[1].keys()]
    for name in contents[0].keys() & contents[1].keys():
        if _content(contents[0][name]) != _content(contents[1][name]):
            differing.append(name)
    return sorted(differing)


def _name(path: Path) -> str:
    """The path, without the time in an event file's name."""
    return re.sub(r"tfevents\..*", "tfevents", str(path))


def _content(path: Path) -> object:
    if path.name.startswith("events."):
        return _events(path)
    if path.suffix == ".csv":
        table = pd.read_csv(path)
        return table[[column for column in table if not TIMES.search(column)]].to_csv()
    if path.name == "provenance.json":
        facts = json.loads(path.read_text())
        # Slurm's jobs get devices that stand in for GPUs, and note that they could not use them.
        del facts["device_note"]
        del facts["versions"]["python"]  # an image has that of its base
        return {key: value for key, value in facts.items() if not TIMES.search(key)}
    if path.suffix == ".keras":
        # The rest holds the date, and names objects by their addresses in memory.
        with zipfile.ZipFile(path) as archive:
            return archive.read("model.weights.h5")
    return path.read_bytes()


def _events(path: Path) -> list[tuple]:
    """(step, tag, value) of a TensorBoard file."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return [
        (event.step, value.tag, list(value.tensor.float_val) or value.simple_value)
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if not TIMES.search(value.tag.replace("/", "_"))
    ]
