"""Measure this machine: `make bench` writes results/bench/bench.csv and bench.md.

    python benchmarks/bench.py [--short] [--sections training data ...] [--output results/bench]

Each figure that two things share is taken from both in turn, in this one run. `--short` takes fewer
repetitions and smaller sizes: minutes instead of an hour, and wider ranges.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from measuring import (
    FRAMEWORKS,
    ROOT,
    SCRIPTS,
    STUDY_IMAGES,
    Row,
    answer,
    default_study,
    finish,
    machine,
    start,
    timed,
)
from twinbench.files import written_atomically

# What a ratio to the tutorial's speed, and a share of the peak, should be at least.
RATIO_GOALS = {"pytorch": 2.8, "tensorflow": 2.0}
PEAK_GOAL = 0.75


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    repetitions: int
    images: int
    archive_images: int
    seeds: int


FULL = Extent(repetitions=5, images=2560, archive_images=50_000, seeds=250)
SHORT = Extent(repetitions=2, images=1280, archive_images=5_000, seeds=24)


def training(extent: Extent) -> Iterator[Row]:
    """Each framework against a tutorial's script and against the machine's matrix products."""
    speeds: dict[str, list[dict]] = defaultdict(list)
    peaks: dict[str, list[float]] = defaultdict(list)
    for _ in range(extent.repetitions):
        for framework in FRAMEWORKS:
            images = ("--images", str(extent.images))
            ours = ("ours", "--run", f"{framework}-scratch", *images)
            usual = answer("training_speed.py", "tutorial", "--framework", framework, *images)
            alike = answer("training_speed.py", *ours, "--batch-size", str(usual["batch_size"]))
            found = answer("training_speed.py", *ours)
            speeds[f"tutorial {framework}"].append(usual)
            speeds[f"alike {framework}"].append(alike)
            speeds[f"ours {framework}"].append(found)
            # Not of bfloat16 where no training takes it: where it is emulated, a product takes minutes.
            for precision in sorted({"float32", found["precision"]}):
                options = ("--framework", framework, "--precision", precision)
                gflops = answer("training_speed.py", "peak", *options)["gflops"]
                peaks[f"{framework} {precision}"].append(gflops)
    for framework in FRAMEWORKS:
        yield from _training(framework, speeds, peaks)
    for name, values in peaks.items():
        yield Row("training", f"matrix product, {name}", values, "GFLOP/s")
    pair = [_column(speeds[f"ours {framework}"], "images_per_second") for framework in FRAMEWORKS]
    gaps = [abs(ratio - 1) for ratio in _ratios(*pair)]
    yield Row("training", "difference between the frameworks", gaps, "", 0.1, True)


def _training(framework: str, speeds: dict, peaks: dict) -> Iterator[Row]:
    """The rows of one framework: our speed, also in the tutorial's batches, and the tutorial's."""
    usual, alike, ours = (speeds[f"{whose} {framework}"] for whose in ("tutorial", "alike", "ours"))
    usual_rates, alike_rates, our_rates = (
        _column(each, "images_per_second") for each in (usual, alike, ours)
    )
    precision, batch = ours[0]["precision"], ours[0]["batch_size"]
    small = f"batch {usual[0]['batch_size']}"

    def row(name: str, values: list[float], unit: str = "", **goal) -> Row:
        return Row("training", f"{framework}, {name}", values, unit, **goal)

    yield row(f"{precision}, batch {batch}", our_rates, "images/s")
    yield row(f"{precision}, {small}", alike_rates, "images/s")
    yield row(f"the tutorial's, float32, {small}", usual_rates, "images/s")
    ratios = _ratios(our_rates, usual_rates)
    yield row("ratio to the tutorial's", ratios, goal=RATIO_GOALS[framework])
    ratios = _ratios(alike_rates, usual_rates)
    yield row(f"ratio to the tutorial's, both in {small}", ratios)
    shares = _column(ours, "augmentation_share")
    yield row("augmentation's share of a step", shares, goal=0.05, at_most=True)
    shares = _ratios(_column(ours, "gflops"), peaks[f"{framework} {precision}"])
    yield row(f"share of the {precision} matrix product", shares, goal=PEAK_GOAL)


def epochs(extent: Extent) -> Iterator[Row]:
    """Seconds of an epoch of each default run, the mean over its epochs, from a few steps."""
    study = default_study()
    total = 0.0
    for run in study.runs:
        epochs = study.training(run)["epochs"]
        options = ("whole", "--run", run, "--images", str(extent.images // 2))
        seconds = [
            answer("training_speed.py", *options)["seconds"] / epochs
            for _ in range(min(extent.repetitions, 2))
        ]
        yield Row("epochs", f"{run}, {STUDY_IMAGES:,} images", seconds, "s")
        total += sum(seconds) / len(seconds) * epochs
    yield Row("epochs", "the default study's trainings, in turn", [total / 3600], "h", 3, True)


def caching(extent: Extent) -> Iterator[Row]:
    """Ten epochs of VGG16, against everything computed in each epoch in float32."""
    usual = ("--precision", "float32", "--cached-views", "0")
    run = ("whole", "--run", "tensorflow-pretrained")
    yield from _against("the default tensorflow-pretrained", extent, run, usual, goal=5)
    for framework in FRAMEWORKS:
        run = ("frozen", "--framework", framework)
        yield from _against(f"last block trained, 64 pixels, {framework}", extent, run, usual)


def _against(
    name: str, extent: Extent, run: tuple, usual: tuple, goal: float | None = None
) -> Iterator[Row]:
    run += ("--images", str(extent.images // 2))
    fast, slow = [], []
    for _ in range(min(extent.repetitions, 2)):
        fast.append(answer("training_speed.py", *run)["seconds"])
        slow.append(answer("training_speed.py", *run, *usual)["seconds"])
    yield Row("caching", name, fast, "s")
    yield Row("caching", f"{name}, everything in each epoch, float32", slow, "s")
    yield Row("caching", f"{name}, ratio", _ratios(slow, fast), "", goal)


def jobs(extent: Extent) -> Iterator[Row]:
    """Two jobs at once with half of the cores each, against one after the other with all."""
    cores = os.cpu_count() or 1
    half = max(1, cores // 2)
    ratios = []
    for _ in range(extent.repetitions):
        options = [
            ("ours", "--run", f"{framework}-scratch", "--images", str(extent.images))
            for framework in FRAMEWORKS
        ]
        together = [start("training_speed.py", *o, "--threads", str(half)) for o in options]
        rates = [finish(process)["images_per_second"] for process in together]
        alone = [answer("training_speed.py", *o)["images_per_second"] for o in options]
        in_turn = 2 / sum(1 / rate for rate in alone)
        ratios.append(sum(rates) / in_turn)
    yield Row("jobs", f"two jobs of {half} threads, against in turn with {cores}", ratios, "", 1)


def data(extent: Extent) -> Iterator[Row]:
    """Archive to tensors, ours and the `datasets` library's; the start of a training on them."""
    with tempfile.TemporaryDirectory(dir=_scratch()) as name:
        folder = Path(name)
        archive, images = folder / "archive.tar.gz", extent.archive_images
        settings = {"train_images": images, "test_images": images // 5, "seed": 0}
        _run("draw_archive.py", "--settings", json.dumps(settings), "--output", str(archive))
        ours, theirs, peaks = [], [], []
        for _ in range(min(extent.repetitions, 3)):
            steps = [timed(command) for command in _tensor_commands(folder, archive)]
            ours.append(sum(seconds for seconds, _ in steps))
            peaks.append(max(memory for _, memory in steps) / 1000)
            script = ROOT / "benchmarks" / "datasets_library.py"
            theirs.append(timed([sys.executable, script, archive, folder / "library"])[0])
        count = images + images // 5
        yield Row("data", f"archive to tensors, {count:,} images", ours, "s", 30, True)
        yield Row("data", "its peak memory", peaks, "GB", 2, True)
        yield Row("data", "the same with the datasets library", theirs, "s")
        yield Row("data", "ratio to the datasets library", _ratios(theirs, ours), "", 3)
        for framework in FRAMEWORKS:
            seconds = [_start_up(framework, folder) for _ in range(min(extent.repetitions, 3))]
            yield Row("data", f"start of a {framework} training on them", seconds, "s", 10, True)


def _tensor_commands(folder: Path, archive: Path) -> list[list[str | Path]]:
    splits = ("train", "validation", "test")
    settings = {"limit": None, "validation_fraction": 0.1, "seed": 0}
    parquet = {name: folder / f"{name}.parquet" for name in ("train", "test")}
    return [
        [
            *(sys.executable, SCRIPTS / "build_parquet.py", "--archive", archive),
            *("--settings", json.dumps({"official": False}), "--threads", os.cpu_count()),
            *("--train", parquet["train"], "--test", parquet["test"]),
        ],
        [
            *(sys.executable, SCRIPTS / "build_tensors.py", "--settings", json.dumps(settings)),
            *("--threads", os.cpu_count()),
            *("--train-parquet", parquet["train"], "--test-parquet", parquet["test"]),
            *(part for name in splits for part in (f"--{name}", folder / f"{name}.safetensors")),
            *("--statistics", folder / "statistics.json"),
        ],
    ]


def _start_up(framework: str, folder: Path) -> float:
    """Seconds until a training job of the workflow has its net and its data."""
    run = f"{framework}-scratch"
    study = default_study()
    settings = {
        "run": run,
        "framework": framework,
        "model": study.model(run),
        "weights": study.weights(run).description,
        "dataset": {"name": "bench", "source": "synthetic"},
        "training": study.training(run),
    }
    outputs = ("history", "predictions", "provenance", "model", "tensorboard")
    command = [
        *(sys.executable, SCRIPTS / f"train_{framework}.py", "--settings", json.dumps(settings)),
        *("--seed", "1", "--threads", str(os.cpu_count())),
        *(
            p
            for n in ("train", "validation", "test")
            for p in (f"--{n}", folder / f"{n}.safetensors")
        ),
        *(part for name in outputs for part in (f"--{name}", folder / "run" / name)),
    ]
    began = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "training images" in line:
            break
    seconds = time.perf_counter() - began
    process.kill()
    process.communicate()
    return seconds


def workflow(extent: Extent) -> Iterator[Row]:
    """What Snakemake adds to the jobs, and how soon a finished study is recognised."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny import TINY

    with tempfile.TemporaryDirectory(dir=_scratch()) as name:
        folder = Path(name)
        (folder / "config").symlink_to(ROOT / "config")
        (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"),
            *("--cores", "1", "--quiet", "--configfile", "tiny.yaml"),
        ]
        whole = timed(command, cwd=folder)[0]
        in_jobs = sum(_job_seconds(folder))
        again = [timed(command, cwd=folder)[0] for _ in range(extent.repetitions)]
    yield Row("workflow", "Snakemake's own time in a study of four runs", [whole - in_jobs], "s")
    yield Row("workflow", "a finished study is recognised in", again, "s", 5, True)


def _job_seconds(folder: Path) -> Iterator[float]:
    """The time of each job, from Snakemake's records."""
    spans = {}  # a record an output, of which a job may have several
    for path in (folder / ".snakemake" / "metadata").rglob("*"):
        if path.is_file():
            record = json.loads(path.read_text())
            spans[record["job_hash"]] = record["endtime"] - record["starttime"]
    yield from spans.values()


def scale(extent: Extent) -> Iterator[Row]:
    """The analysis of four runs with many seeds, and of half as many; a dry run of the study."""
    sizes = (extent.seeds // 2, extent.seeds)
    totals = {}
    for seeds in sizes:
        found = answer("analysis_scale.py", "--seeds", str(seeds))
        runs = 4 * seeds
        for name, (seconds, memory) in found["parts"].items():
            yield Row(
                "scale", f"{name}, {runs:,} trainings", [seconds], "s", note=f"{memory:.0f} MB"
            )
        totals[seeds] = sum(seconds for seconds, _ in found["parts"].values())
        peak = max(memory for _, memory in found["parts"].values()) / 1000
        last = seeds == sizes[-1] and extent is FULL
        goals = {"time": 120, "memory": 2, "dry": 60} if last else {}
        of = f"{runs:,} trainings"
        yield Row("scale", f"analysis, {of}", [totals[seeds]], "s", goals.get("time"), True)
        yield Row("scale", f"its peak memory, {of}", [peak], "GB", goals.get("memory"), True)
        yield Row("scale", f"dry run, {of}", [found["dry_run"]], "s", goals.get("dry"), True)
    growth = totals[sizes[1]] / totals[sizes[0]]
    yield Row(
        "scale", "analysis, twice the trainings take so many times as long", [growth], "", 2.2, True
    )


SECTIONS: dict[str, Callable[[Extent], Iterator[Row]]] = {
    function.__name__: function
    for function in (training, epochs, caching, jobs, data, workflow, scale)
}


def _column(found: list[dict], name: str) -> list[float]:
    return [each[name] for each in found]


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _run(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, SCRIPTS / script, *arguments], check=True)


def _scratch() -> Path:
    """A folder of the project's disk: the one for temporary files may be memory."""
    folder = ROOT / "results"
    folder.mkdir(exist_ok=True)
    return folder


# --- Tables ------------------------------------------------------------------------------------


def write(rows: list[Row], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with written_atomically(folder / "bench.csv") as path, open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["section", "what", "median", "lowest", "highest", "n", "unit", "goal", "met", "note"]
        )
        for row in rows:
            ends = (min(row.values), max(row.values), len(row.values))
            goal = "" if row.goal is None else row.goal
            met = "" if row.met is None else row.met
            writer.writerow(
                [row.section, row.what, row.value, *ends, row.unit, goal, met, row.note]
            )
    with written_atomically(folder / "bench.md") as path:
        path.write_text(markdown(rows))


def markdown(rows: list[Row]) -> str:
    lines = [f"Machine: {machine()}", ""]
    for section in dict.fromkeys(row.section for row in rows):
        lines += [f"## {section.capitalize()}", ""]
        lines += ["| what | median | range | goal | |", "| --- | --- | --- | --- | --- |"]
        for row in rows:
            if row.section == section:
                lines.append(_line(row))
        lines.append("")
    return "\n".join(lines)


def _line(row: Row) -> str:
    ends = f"{_number(min(row.values))} - {_number(max(row.values))}" if len(row.values) > 1 else ""
    goal = "" if row.goal is None else f"{'at most' if row.at_most else 'at least'} {row.goal:g}"
    verdict = {None: "", True: "met", False: "**missed**"}[row.met]
    what = f"{row.what} ({row.note})" if row.note else row.what
    return f"| {what} | {_number(row.value)} {row.unit} | {ends} | {goal} | {verdict} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "bench")
    arguments = parser.parse_args()
    output = arguments.output.absolute()  # sections change the working directory
    rows: list[Row] = []
    for name in arguments.sections:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        for row in SECTIONS[name](SHORT if arguments.short else FULL):
            rows.append(row)
            print(_line(row), file=sys.stderr, flush=True)
        write(rows, output)  # what is measured is not lost
    print(f"The table: {output / 'bench.md'}")


if __name__ == "__main__":
    main()
