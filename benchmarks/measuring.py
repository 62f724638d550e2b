"""What the measurements share: jobs like the default study's, and commands that are timed."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

import numpy as np
import yaml
from twinbench.config.study import Study
from twinbench.data.splits import Split
from twinbench.data.synthetic import class_names
from twinbench.networks.architectures import ARCHITECTURES, Layer, kernel_shape, shapes
from twinbench.training.job import Job

FRAMEWORKS = ("pytorch", "tensorflow")
STUDY_IMAGES = 45_000  # CIFAR-10's training images without the validation images
VALIDATION_IMAGES = 5_000


def default_study() -> Study:
    """The default study, without the reference file that its report cites."""
    return changed_study({})


def changed_study(changes: dict) -> Study:
    """The default study with the changes of an overlay, likewise."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    return Study(_merged(config | {"report": {"reference": None}}, changes))


def _merged(values: dict, changes: dict) -> dict:
    both_groups = {k for k in changes if isinstance(values.get(k), dict) and changes[k]}
    return values | {
        key: _merged(values[key], change)
        if key in both_groups and isinstance(change, dict)
        else change
        for key, change in changes.items()
    }


def make_job(run: str, images: int, threads: int, **changes) -> Job:
    """A run of the default study on noise and random weights, which take the same time.

    `changes` are training settings.
    """
    study = default_study()
    return Job(
        run=run,
        seed=1,
        architecture=ARCHITECTURES[study.model(run)],
        settings=study.training(run).changed(**changes),
        train=noise(images),
        validation=noise(images * VALIDATION_IMAGES // STUDY_IMAGES),
        test=noise(0),
        pretrained={},
        published_normalisation=False,
        threads=threads,
    )


def noise(count: int) -> Split:
    """Images of the size of CIFAR-10's, at once: each pixel and label is random."""
    random, names = np.random.default_rng(count), class_names("target")
    return Split(
        images=random.integers(0, 256, (count, 32, 32, 3), np.uint8),
        labels=random.integers(0, len(names), count),
        sample_ids=np.arange(count),
        class_names=names,
        mean=np.full(3, 0.5),
        std=np.full(3, 0.25),
    )


def forward_operations(layers: tuple[Layer, ...], input_size: int) -> int:
    """Additions and multiplications of one image's forward pass, in convolutions and dense layers.

    A training step counts as three: the gradients of inputs and of kernels are such products each.
    """
    total = 0
    for layer, before, after in shapes(layers, input_size):
        kernel = kernel_shape(layer, before)
        if kernel is not None:
            positions = math.prod(after[:-1])
            total += 2 * math.prod(kernel) * positions
    return total


def scratch_folder() -> Path:
    """Where temporary files go: on the project's disk, since /tmp may be memory."""
    folder = ROOT / "results"
    folder.mkdir(exist_ok=True)
    return folder


def answer(script: str, *arguments: object, **environment: str) -> dict:
    """The JSON object that a script of this folder prints last. Its messages pass through."""
    return finish(start(script, *arguments, **environment))


def start(script: str, *arguments: object, **environment: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment)


def finish(process: subprocess.Popen) -> dict:
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{' '.join(process.args)} failed: see its messages above")
    return json.loads(output.strip().splitlines()[-1])


def timed(command: list, folder: str | Path = ".") -> tuple[float, float]:
    """Seconds and peak memory in MB of a command, child processes included. It must succeed.

    `python` in the command means this one, also within the rules.
    """
    script = (
        "import json, resource, subprocess, sys, time; start = time.monotonic(); "
        "code = subprocess.run(json.loads(sys.argv[1]), stdout=subprocess.DEVNULL).returncode; "
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
        "print(json.dumps([code, time.monotonic() - start, peak / 1024]))"
    )
    parts = [str(part) for part in command]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(parts)],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
        cwd=folder,
        env={**os.environ, "PATH": path},
    )
    code, seconds, peak = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(parts)} failed: see its messages above")
    return seconds, peak
