"""A study that is killed again and again ends with the same results as one that is left alone.

`--kills 20` makes the long version of this; without it a few kills are made.
"""

import json
import os
import random
import re
import signal
import subprocess
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tiny import TINY

pytestmark = pytest.mark.slow

# Saved after each step, so that each start gets further; no setting of the experiment.
OFTEN = (
    "--set-resources",
    *(
        f"{rule}_{framework}:checkpoint_steps=1"
        for rule in ("train", "pretrain_proxy")
        for framework in ("pytorch", "tensorflow")
    ),
)
LONGER = TINY | {"training": {"epochs": 2, "batch_size": 16}}
IMPATIENT = 0.25  # the share of kills that do not wait for anything to be done
LONGEST = 5.0  # seconds from a step forward to the kill

LOG = "study.log"

# Times differ from run to run, and what is made of times. All else must be the same.
TIMES = re.compile(r"seconds|images_per_second|gflops|^started$")


def kill_until(
    place, overlay: dict, number: int, kills: int, generator: random.Random
) -> list[str]:
    """Run a study, with `kills` signals to its whole process group, to its end.

    The instants are random, but most come after some step forward, so that they fall all over the
    study's course. Returns what was under way at each.
    """
    struck = []
    while len(struck) < kills:
        process = start(place, overlay)
        wait_for_a_job(process, place.folder / LOG)
        if generator.random() > IMPATIENT:
            wait_for_a_step(process, place.folder / "results")
        time.sleep(generator.uniform(0, LONGEST))
        if process.poll() is not None:
            break
        struck.append(jobs_under_way(place.folder / LOG))
        os.killpg(process.pid, number)
        process.wait(timeout=300)
        wait_for_the_group(process.pid)
    result = place.snakemake(*OFTEN, overlay=overlay)
    assert result.returncode == 0, result.stderr[-5000:]
    return struck


def start(place, overlay: dict) -> subprocess.Popen:
    """Snakemake in a process group of its own, with its messages in a file."""
    with open(place.folder / LOG, "wb") as log:
        return subprocess.Popen(
            place.command(*OFTEN, overlay=overlay),
            cwd=place.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for_a_job(process: subprocess.Popen, log: Path) -> None:
    while process.poll() is None and "\nJob " not in log.read_text(errors="replace"):
        time.sleep(0.1)


def wait_for_a_step(process: subprocess.Popen, results: Path) -> None:
    """Until a checkpoint or an output is written."""

    def written() -> set:
        found = set()
        # Folders come and go meanwhile: os.walk passes over those that are gone, rglob raises.
        for folder, _, names in os.walk(results):
            for path in (Path(folder, name) for name in names):
                unfinished = ".unfinished-" in str(path)
                if not unfinished and path.suffix != ".log" and not path.name.startswith("events."):
                    with suppress(FileNotFoundError):
                        found.add((path, path.stat().st_mtime_ns))
        return found

    before = written()
    while process.poll() is None and written() <= before:
        time.sleep(0.1)


def wait_for_the_group(leader: int) -> None:
    """Until no process of the group is left; SIGTERM lets them save first."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes of a killed run live on")


def jobs_under_way(log: Path) -> str:
    text = log.read_text(errors="replace")
    return "; ".join(re.findall(r"^Job \d+: (.*)$", text, re.M)[-2:])


def differences(first: Path, second: Path) -> list[str]:
    """The files of two folders of results that differ, times excepted."""
    names = [
        {content_name(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (first, second)
    ]
    differing = [f"{name}: in one alone" for name in names[0] ^ names[1]]
    for name in sorted(names[0] & names[1]):
        contents = [content(next(folder.glob(name))) for folder in (first, second)]
        if not same(*contents):
            differing.append(name)
    return differing


def content_name(path: Path) -> str:
    """The path, without the time in an event file's name."""
    return re.sub(r"tfevents\..*", "tfevents.*", str(path))


def content(path: Path) -> object:
    """What must be the same in two studies: a file's content without times."""
    name = path.name
    if path.suffix in (".log", ".jsonl") or name.startswith("accuracy_time"):
        return None  # times alone, or drawn from times
    if name.startswith("events."):
        return events(path)
    if path.suffix == ".csv":
        table = pd.read_csv(path)
        return table[[column for column in table if not TIMES.search(column)]].to_csv()
    if name == "provenance.json":
        return without_times(json.loads(path.read_text()))
    if path.suffix == ".keras":
        return keras_file(path)
    if path.suffix == ".md":
        return without_times_in_text(path.read_text())
    return path.read_bytes()


def same(first: object, second: object) -> bool:
    if isinstance(first, dict) and any(isinstance(v, np.ndarray) for v in first.values()):
        return first.keys() == second.keys() and all(
            np.array_equal(first[name], second[name]) for name in first
        )
    return first == second


def without_times(value: object) -> object:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not TIMES.search(k)}
    return value


def without_times_in_text(text: str) -> str:
    """A report without its times: the durations, the rates and the rows and sentences about them."""
    lines = [line for line in text.splitlines() if "Time:" not in line]
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "(date)", "\n".join(lines))
    text = re.sub(r"\b\d+(\.\d+)? (h|min|s)\b( \d\d? (min|s)\b)?", "(time)", text)
    return re.sub(r"(\(time\) \|) \d+ \|", r"\1 (rate) |", text)


def events(path: Path) -> list[tuple]:
    """(step, tag, value) of a TensorBoard file."""
    return [
        (event.step, value.tag, value.tensor.float_val[:] or value.simple_value)
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if not TIMES.search(value.tag.replace("/", "_"))
    ]


def keras_file(path: Path) -> dict:
    """What a .keras file holds, the weights by name, but for the date of saving in metadata.json.

    Keras names shared objects by their addresses in memory, which differ from process to process.
    """
    found = {}
    with zipfile.ZipFile(path) as archive:
        layers = re.sub(rb'"shared_object_id": \d+', b"", archive.read("config.json"))
        found["config.json"] = np.frombuffer(layers, np.uint8)
        with archive.open("model.weights.h5") as member, h5py.File(member) as file:
            file.visititems(
                lambda name, item: (
                    found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
    return found


def test_the_comparison_notices_a_difference(finished, tmp_path):
    predictions = next((finished.folder / "results").rglob("predictions.parquet"))
    copy = tmp_path / "predictions.parquet"
    copy.write_bytes(predictions.read_bytes()[:-1] + b"x")
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "predictions.parquet").write_bytes(predictions.read_bytes())
    copy.rename(tmp_path / "second" / "other.parquet")
    assert differences(predictions.parent, predictions.parent) == []
    assert content(tmp_path / "second" / "other.parquet") != content(predictions)


@pytest.fixture
def reference(kills, request, tmp_path_factory):
    """A study that was left alone, and its overlay: for many kills a longer one."""
    if kills <= 5:
        return request.getfixturevalue("finished"), TINY
    place = request.getfixturevalue("project_in")(tmp_path_factory.mktemp("reference"))
    result = place.snakemake(overlay=LONGER)
    assert result.returncode == 0, result.stderr[-5000:]
    return place, LONGER


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_a_killed_study_ends_with_the_same_results(reference, workplace, kills, number, capsys):
    undisturbed, overlay = reference
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    struck = kill_until(workplace, overlay, number, kills, random.Random(seed))
    with capsys.disabled():
        print(f"\n{number.name}, seed {seed}, {len(struck)} kills:", *struck, sep="\n  ")
    assert len(struck) == kills, "the study was done before the last kill"
    assert differences(undisturbed.folder / "results", workplace.folder / "results") == []
    assert not list((workplace.folder / "results").rglob(".*checkpoint*"))


def test_two_runs_in_one_folder_and_the_lock_of_a_killed_one(workplace):
    first = start(workplace, TINY)
    try:
        wait_for_a_job(first, workplace.folder / LOG)
        second = workplace.snakemake(overlay=TINY)
        assert second.returncode != 0
        assert "cannot be locked" in second.stderr
        assert first.poll() is None, "the second run disturbed the first"
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    third = workplace.snakemake("results/data/tiny/archive.tar.gz", overlay=TINY)
    assert third.returncode == 0, third.stderr
    assert "An earlier run in this folder was killed: its lock is removed" in third.stderr


def test_results_that_cannot_be_written_are_told_before_any_job(workplace):
    (workplace.folder / "results").write_text("not a folder, which binds root too")
    result = workplace.snakemake(overlay=TINY)
    assert result.returncode != 0
    assert re.search(r"^results: no permission to write there; ", result.stderr, re.M), (
        result.stderr
    )


def test_a_clock_that_was_set_back_is_told_before_any_job(workplace):
    archive = "results/data/tiny/archive.tar.gz"
    assert workplace.snakemake(archive, overlay=TINY).returncode == 0
    os.utime(workplace.folder / archive, (time.time() + 3600,) * 2)
    result = workplace.snakemake(overlay=TINY)
    assert result.returncode != 0
    found = re.search(
        rf"^{archive} is dated .* the clock was set back; .*: (.*)$", result.stderr, re.M
    )
    assert found, result.stderr
    # What the message advises helps, and reruns nothing.
    subprocess.run(found[1], shell=True, cwd=workplace.folder, check=True)
    result = workplace.snakemake("--dry-run", archive, overlay=TINY)
    assert "Nothing to be done" in result.stdout + result.stderr
