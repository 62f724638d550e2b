"""Measure this machine: `make bench` writes results/bench/bench.csv and bench.md.

    python benchmarks/bench.py [--short] [--sections training data ...] [--output results/bench]

Numbers that are compared are measured in turn, in this one run. `--short` takes fewer repetitions and
smaller sizes: minutes instead of an hour, and wider ranges. Where there is a GPU, it is measured, in the
sections gpu, study and data; otherwise the CPU is, in all others.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml
from measuring import (
    FRAMEWORKS,
    ROOT,
    SCRIPTS,
    STUDY_IMAGES,
    answer,
    changed_study,
    default_study,
    finish,
    scratch_folder,
    start,
    timed,
)
from table import Quantity, Row, Sample, line, rows, write
from twinbench.config.arguments import to_arguments
from twinbench.training import gpus

CORES = os.cpu_count() or 1
TEST_IMAGES = 10_000  # of CIFAR-10
ANALYSIS = ("evaluate_runs", "compare_runs", "plot_figures", "write_report")
# Changes of the default study: hardly any training.
SMALL_STUDY = {
    "study": "bench",
    "dataset": {"source": "synthetic", "synthetic": {"train_images": 200, "test_images": 100}},
    "training": {"epochs": 1, "batch_size": 32},
}

measure = partial(answer, "training_speed.py")


@dataclass(frozen=True)
class Extent:
    """How much is measured. What takes long is repeated `few` times."""

    repetitions: int
    few: int
    images: int
    gpu_images: int
    archive_images: int
    seeds: int


FULL = Extent(5, 2, images=2560, gpu_images=90_000, archive_images=50_000, seeds=250)
SHORT = Extent(2, 1, images=1280, gpu_images=45_000, archive_images=5_000, seeds=24)


def training(extent: Extent) -> Iterator[Sample]:
    """Each framework against a tutorial's script and against the machine's matrix products."""
    for _ in range(extent.repetitions):
        rates = []
        for framework in FRAMEWORKS:
            rate, sample = _training(framework, extent.images)
            rates.append(rate)
            yield sample
        yield {Quantity(f"ratio of {FRAMEWORKS[0]} to {FRAMEWORKS[1]}"): rates[0] / rates[1]}


def _training(framework: str, images: int) -> tuple[float, Sample]:
    """Images per second of a framework's scratch run, and one measurement of each of its rows."""
    run = ("ours", "--framework", framework, "--run", f"{framework}-scratch", "--images", images)
    usual = measure("tutorial", "--framework", framework, "--images", images)
    alike = measure(*run, "--batch-size", usual["batch_size"])
    ours = measure(*run)
    precision, small = ours["precision"], f"batch {usual['batch_size']}"
    # bfloat16 only where training uses it: where it is emulated, a product takes minutes.
    peaks = {
        each: measure("peak", "--framework", framework, "--precision", each)["gflops"]
        for each in sorted({"float32", precision})
    }
    rate, alike_rate, usual_rate = (each["images_per_second"] for each in (ours, alike, usual))
    sample = {
        Quantity(f"{precision}, batch {ours['batch_size']}", "images/s"): rate,
        Quantity(f"{precision}, {small}", "images/s"): alike_rate,
        Quantity(f"the tutorial's, float32, {small}", "images/s"): usual_rate,
        Quantity("ratio to the tutorial's"): rate / usual_rate,
        Quantity(f"ratio to the tutorial's, both in {small}"): alike_rate / usual_rate,
        **{Quantity(f"{each} matrix product", "GFLOP/s"): value for each, value in peaks.items()},
        Quantity(f"fraction of the {precision} matrix product"): ours["gflops"] / peaks[precision],
    }
    return rate, {q._replace(what=f"{framework}, {q.what}"): value for q, value in sample.items()}


def gpu(extent: Extent) -> Iterator[Sample]:
    """Each framework on the GPU: against a tuned tutorial's script, whole and without its data, and
    against the device's matrix products."""
    for _ in range(extent.few):
        rates = []
        for framework in FRAMEWORKS:
            options = ("--framework", framework, "--images", extent.gpu_images)
            ours = measure("ours", *options, "--run", f"{framework}-scratch")
            usual, steps = (measure(each, *options, "--tuned") for each in ("tutorial", "steps"))
            product = ("--framework", framework, "--precision", ours["precision"])
            peak = measure("peak", *product)["gflops"]
            rates.append(ours["images_per_second"])
            yield _on_gpu(framework, ours, usual, steps, peak)
        yield {Quantity(f"ratio of {FRAMEWORKS[0]} to {FRAMEWORKS[1]}"): rates[0] / rates[1]}


def _on_gpu(framework: str, ours: dict, usual: dict, steps: dict, peak: float) -> Sample:
    """The rows of a framework; each rate says which device and batch gave it."""
    rate, of_tutorial, of_steps = (each["images_per_second"] for each in (ours, usual, steps))

    def measured(what: str, each: dict) -> Quantity:
        note = f"{each['precision']}, batch {each['batch_size']}, {each['device']}"
        return Quantity(f"{framework}, {what}", "images/s", note)

    return {
        measured("ours", ours): rate,
        measured("the tuned tutorial's", usual): of_tutorial,
        measured("its steps without their data", steps): of_steps,
        Quantity(f"{framework}, ratio to the tuned tutorial's"): rate / of_tutorial,
        Quantity(f"{framework}, ratio to its steps without their data"): rate / of_steps,
        Quantity(f"{framework}, {ours['precision']} matrix product", "GFLOP/s"): peak,
        Quantity(f"{framework}, fraction of the matrix product"): ours["gflops"] / peak,
    }


def study(extent: Extent) -> Iterator[Sample]:
    """The default study from the command to the report, on images and weights made here."""
    runs = {name: {"weights": "none"} for name in default_study().runs}
    images = extent.archive_images
    archive = {"train_images": images, "test_images": images // 5}
    changes = {"study": "bench", "dataset": {"source": "synthetic", "synthetic": archive}}
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as name:
        seconds, _ = timed(_snakemake(Path(name), changes | {"runs": runs}), folder=name)
        yield {Quantity(f"the default study, {images + images // 5:,} images", "s"): seconds}
        for path in sorted(Path(name).glob("results/bench/runs/*/*/provenance.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            of = Quantity(f"{record['run']}, from start to files", "s", record["device"])
            yield {of: record["total_seconds"]}


def epochs(extent: Extent) -> Iterator[Sample]:
    """Seconds per epoch of each default run, the mean over its epochs, from a few steps."""
    study = default_study()
    for _ in range(extent.few):
        options = ("--images", extent.images // 2)
        found = {
            run: measure("epochs", "--framework", study.framework(run), "--run", run, *options)
            for run in study.runs
        }
        yield {
            Quantity(f"{run}, {STUDY_IMAGES:,} images", "s"): each["seconds"]
            / study.training(run).epochs
            for run, each in found.items()
        }
        total = sum(each["seconds"] for each in found.values())
        yield {Quantity("the default study's trainings, in turn", "h"): total / 3600}


def checkpoints(extent: Extent) -> Iterator[Sample]:
    """What saving a checkpoint takes, alone and as a fraction of an epoch."""
    for _ in range(extent.few):
        for framework in FRAMEWORKS:
            run = f"{framework}-scratch"
            options = ("--framework", framework, "--run", run, "--images", extent.images // 2)
            found = measure("checkpoint", *options)
            size = f"{found['megabytes']:.0f} MB"
            yield {
                Quantity(f"{run}, a checkpoint", "s", size): found["seconds"],
                Quantity(f"{run}, fraction of an epoch"): found["fraction"],
            }


def jobs(extent: Extent) -> Iterator[Sample]:
    """Two jobs at once with half of the cores each, against one after the other with all."""
    half = max(1, CORES // 2)
    name = f"two jobs of {half} threads, against in turn with {CORES}"
    begin = partial(start, "training_speed.py", CUDA_VISIBLE_DEVICES="")
    for _ in range(extent.repetitions):
        options = [
            ("ours", "--framework", each, "--run", f"{each}-scratch", "--images", extent.images)
            for each in FRAMEWORKS
        ]
        together = [begin(*each, "--threads", half) for each in options]
        rates = [finish(process)["images_per_second"] for process in together]
        alone = [finish(begin(*each))["images_per_second"] for each in options]
        in_turn = 2 / sum(1 / rate for rate in alone)
        yield {Quantity(name): sum(rates) / in_turn}


def data(extent: Extent) -> Iterator[Sample]:
    """From an archive to tensors and to Parquet, and a training's start."""
    train, test = extent.archive_images, extent.archive_images // 5
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as name:
        folder = Path(name)
        archive = folder / "archive.tar.gz"
        settings = [f"train_images={train}", f"test_images={test}", "seed=0"]
        timed(["python", SCRIPTS / "generate_archive.py", *settings, "--output", archive])
        for _ in range(extent.few):
            for product in ("tensors", "parquet"):
                seconds, memory = timed(_build_command(product, folder, archive))
                of = f"archive to {product}, {train + test:,} images"
                yield {Quantity(of, "s"): seconds, Quantity(f"{of}, memory", "GB"): memory / 1000}
            for framework in FRAMEWORKS:
                of = f"start of a {framework} training on them"
                yield {Quantity(of, "s"): _start_up(framework, folder)}


def _build_command(product: str, folder: Path, archive: Path) -> list:
    """The command that makes tensors or Parquet of an archive."""
    settings = ["limit=null", "validation_fraction=0.1", "seed=0"]
    outputs = {
        "tensors": _tensor_files(folder),
        "parquet": ["--train", folder / "train.parquet", "--test", folder / "test.parquet"],
    }
    script = SCRIPTS / f"build_{product}.py"
    return ["python", script, *settings, "--archive", archive, *outputs[product]]


def _tensor_files(folder: Path) -> list:
    splits = ("train", "validation", "test")
    return [part for name in splits for part in (f"--{name}", folder / f"{name}.safetensors")]


def _start_up(framework: str, folder: Path) -> float:
    """Seconds until a training job has taken its first step."""
    study, run = default_study(), f"{framework}-scratch"
    settings = {
        "run": run,
        "framework": framework,
        "model": study.model(run),
        "weights": {"source": "none", "file": None},
        "dataset": {"name": "bench", "source": "synthetic"},
        "training": study.training(run),
    }
    outputs = ("history", "predictions", "provenance", "model", "tensorboard")
    command = [
        *(sys.executable, SCRIPTS / "train.py", *to_arguments(settings).values()),
        *("--seed", 1, "--threads", CORES, *_tensor_files(folder)),
        *(part for name in outputs for part in (f"--{name}", folder / "run" / name)),
    ]
    began = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stderr is not None
    started = any("the first step is done" in line for line in process.stderr)
    seconds = time.perf_counter() - began
    process.kill()
    process.communicate()
    if not started:
        raise SystemExit(f"{run} does not start")
    return seconds


def workflow(extent: Extent) -> Iterator[Sample]:
    """How soon Snakemake recognises that a study of four trainings is finished."""
    # One framework alone, since the parity suite would take minutes.
    runs = {"tensorflow-scratch": {"framework": "pytorch"}}
    runs |= dict.fromkeys(["pytorch-pretrained", "tensorflow-pretrained"])  # None: removed
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as name:
        command = _snakemake(Path(name), SMALL_STUDY | {"seeds": [1, 2], "runs": runs})
        timed(command, folder=name)
        for _ in range(extent.repetitions):
            seconds, _ = timed(command, folder=name)
            yield {Quantity("a finished study is recognised in", "s"): seconds}


def scale(extent: Extent) -> Iterator[Sample]:
    """The plan and the analysis of four runs with many seeds, and with half as many."""
    totals = []
    for seeds in (extent.seeds // 2, extent.seeds):
        found = _scale(seeds, TEST_IMAGES)
        totals.append(found["analysis"])
        of = f"{4 * seeds:,} trainings"
        yield {
            Quantity(f"dry run, {of}", "s"): found["dry run"],
            Quantity(f"analysis, {of}", "s"): found["analysis"],
            Quantity(f"its peak memory, {of}", "GB"): found["memory"],
        }
    name = "analysis, twice the trainings take so many times as long"
    yield {Quantity(name): totals[1] / totals[0]}


def _scale(seeds: int, images: int) -> dict[str, float]:
    """Seconds of a study's dry run and of its analysis, and this one's memory in GB.

    The runs are made up: the analysis reads files, whoever wrote them.
    """
    sys.path.insert(0, str(ROOT / "tests" / "analysis"))
    from fake_study import FOUR, write_run

    # With one framework the report needs no parity suite.
    study = SMALL_STUDY | {
        "seeds": list(range(seeds)),
        "runs": {name: {"framework": "pytorch"} for name in FOUR},
    }
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as name:
        command = _snakemake(Path(name), study)
        dry_run, _ = timed([*command, "--dry-run"], folder=name)
        timed([*command, "--until", "describe_tensors", "build_parquet"], folder=name)
        planned = changed_study(study)
        for run, facts in FOUR.items():
            asked = replace(
                facts,
                framework=planned.framework(run),
                model=planned.model(run),
                weights=planned.weights(run).source,
                settings=planned.training(run).model_dump(),
            )
            for seed in study["seeds"]:
                write_run(Path(name) / "results" / "bench" / "runs", run, asked, seed, images)
        analysis, memory = timed([*command, "--allowed-rules", *ANALYSIS], folder=name)
    return {"dry run": dry_run, "analysis": analysis, "memory": memory / 1000}


def _snakemake(folder: Path, study: dict) -> list:
    """The command that runs the default study with the changes of `study` in a folder."""
    (folder / "config").symlink_to(ROOT / "config")
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return [
        *("snakemake", "--snakefile", ROOT / "Snakefile"),
        *("--cores", CORES, "--quiet", "--configfile", "study.yaml"),
    ]


ON_CPU = (training, epochs, checkpoints, jobs, data, workflow, scale)
ON_GPU = (gpu, study, data)  # the others would take hours, or measure the CPU
SECTIONS: dict[str, Callable[[Extent], Iterator[Sample]]] = {
    section.__name__: section for section in (*ON_CPU, *ON_GPU)
}


def _default_sections() -> list[str]:
    on_gpu = gpus.visible(os.environ.get("CUDA_VISIBLE_DEVICES"))
    return [section.__name__ for section in (ON_GPU if on_gpu else ON_CPU)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="minutes instead of an hour")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=_default_sections())
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "bench")
    arguments = parser.parse_args()
    table: list[Row] = []
    for name in arguments.sections:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        found = rows(name, SECTIONS[name](SHORT if arguments.short else FULL))
        print(*map(line, found), sep="\n", file=sys.stderr, flush=True)
        table += found
        write(table, arguments.output)  # what is measured is not lost
    print(f"The table: {arguments.output / 'bench.md'}")


if __name__ == "__main__":
    main()
