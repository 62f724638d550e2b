"""What the benchmarks share: jobs like the default study's, processes that answer in JSON, the table."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

import yaml
from twinbench import provenance
from twinbench.architecture import ARCHITECTURES, Layer, kernel_shape, shapes
from twinbench.configuration import Configuration
from twinbench.job import Job
from twinbench.parity import Measurable
from twinbench.synthetic_split import draw_split

FRAMEWORKS = ("pytorch", "tensorflow")
STUDY_IMAGES = 45_000  # of CIFAR-10's training split without the validation images
VALIDATION_IMAGES = 5_000


@dataclass(frozen=True)
class Row:
    """A line of the table: the median of `values` and their range, and the goal where there is one.

    `goal` is a number that the median is to reach, or not to pass where `at_most`.
    """

    section: str
    what: str
    values: list[float]
    unit: str
    goal: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def default_study() -> Configuration:
    """The default study's config, whatever the working directory."""
    os.chdir(ROOT)  # the config names files from here
    config = yaml.safe_load(Path("config/config.yaml").read_text())
    return Configuration(config, ROOT / "workflow" / "schemas" / "config.schema.yaml")


def make_job(run: str, images: int, threads: int, **settings) -> Job:
    """A run of the default study on drawn images and random weights, which take the same time."""
    configuration = default_study()
    return Job(
        run=run,
        seed=1,
        architecture=ARCHITECTURES[configuration.model(run)],
        settings=configuration.training(run) | settings,
        train=draw_split("target", images, 1),
        validation=draw_split("target", max(images * VALIDATION_IMAGES // STUDY_IMAGES, 1), 2),
        test=draw_split("target", 0, 3),
        pretrained={},
        net_normalisation=False,
        threads=threads,
    )


def make_arm(framework: str, job: Job) -> Measurable:
    if framework == "pytorch":
        from twinbench.pytorch.measured import MeasuredArm
    else:
        from twinbench.tensorflow.measured import MeasuredArm
    return MeasuredArm(job)


def forward_operations(layers: tuple[Layer, ...], input_size: int) -> int:
    """Additions and multiplications of an image's forward pass, in kernels alone.

    A training step counts as three: the gradients of inputs and of kernels are such products each.
    """
    total = 0
    for layer, before, after in shapes(layers, input_size):
        kernel = kernel_shape(layer, before)
        if kernel is None:
            continue
        positions = after[0] * after[1] if len(after) == 3 else 1
        product = 1
        for size in kernel:
            product *= size
        total += 2 * product * positions
    return total


def answer(script: str, *arguments: str, **environment: str) -> dict:
    """What a benchmark's process prints last: an object in JSON. Its messages pass through."""
    return finish(start(script, *arguments, **environment))


def start(script: str, *arguments: str, **environment: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=dict(os.environ) | quiet | environment
    )


def finish(process: subprocess.Popen) -> dict:
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{' '.join(process.args)} failed: see its messages above")
    return json.loads(output.strip().splitlines()[-1])


def timed(command: list[str], **options) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a command, which is to succeed; its children's count too."""
    script = (
        "import json, resource, subprocess, sys, time; start = time.monotonic(); "
        "code = subprocess.run(json.loads(sys.argv[1]), stdout=subprocess.DEVNULL).returncode; "
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
        "print(json.dumps([code, time.monotonic() - start, peak / 1024]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps([str(part) for part in command])],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        **options,
    )
    code, seconds, peak = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(map(str, command))} failed: see its messages above")
    return seconds, peak


def machine() -> str:
    """The machine in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    flags = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in _processor_flags()]
    return (
        f"{provenance.processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, {', '.join(flags) or 'no AVX-512'}; "
        f"{time.strftime('%Y-%m-%d')}"
    )


def _processor_flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    return set(path.read_text().split()) if path.exists() else set()
