"""A study that is killed again and again ends with the same results as one that is left alone.

`--kills 20` makes the long version of this; by default a few kills are made.
"""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tiny import TINY, Workplace, differences

# Saved after each step, so that each start gets further; not a setting of the experiment.
OFTEN = (
    "--set-resources",
    *(
        f"{rule}_{backend}:checkpoint_steps=1"
        for rule in ("train", "pretrain_weights")
        for backend in ("pytorch", "tensorflow")
    ),
)
MOST_STEPS = 4  # a step writes a checkpoint or an output
LONGEST = 3.0  # seconds from a step to the kill


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_a_killed_study_ends_with_the_same_results(request, narrow_workplace, kills, number):
    place = narrow_workplace
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    struck = kill_repeatedly(place, number, kills, random.Random(seed))
    print(f"{number.name}, KILL_SEED={seed}, killed after", *struck, sep="\n  ")
    assert struck
    finished = request.getfixturevalue("finished")  # only now: another process may be making it
    assert differences(finished.results, place.results) == []
    assert not [path for path in place.results.rglob(".*") if "snakemake" not in path.name]


def kill_repeatedly(
    place: Workplace, number: int, kills: int, generator: random.Random
) -> list[str]:
    """Run a study to its end, with up to `kills` signals to its whole process group.

    The instants are random, but each comes after some step forward, so that they fall all over the
    study's course; the last one comes right after a training's checkpoint. Returns the last file that
    was written before each.
    """
    struck = []
    while len(struck) < kills:
        process = start(place, *OFTEN)
        for _ in range(generator.randint(1, MOST_STEPS)):
            last = wait_for_a_step(process, place)
        if len(struck) < kills - 1:
            time.sleep(generator.uniform(0, LONGEST))
        else:
            while process.poll() is None and "/.checkpoint-run" not in last:
                last = wait_for_a_step(process, place)
        if process.poll() is not None:
            break
        struck.append(last)
        os.killpg(process.pid, number)
        process.wait(timeout=300)
        wait_for_the_group(process.pid)
        assert place.snakemake("--unlock", overlay=TINY).returncode == 0
    result = place.snakemake(*OFTEN, overlay=TINY)
    assert result.returncode == 0, result.stdout[-5000:]
    return struck


def start(place: Workplace, *arguments: str) -> subprocess.Popen:
    """Snakemake in a process group of its own."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return place.start(*arguments, overlay=TINY, start_new_session=True, **quiet)


def written(place: Workplace) -> dict[Path, int]:
    """The files of the results and when they were written. os.walk passes over folders that vanish."""
    found = {}
    for folder, _, names in os.walk(place.results):
        for path in (Path(folder, name) for name in names):
            with suppress(FileNotFoundError):
                found[path.relative_to(place.results)] = path.stat().st_mtime_ns
    return found


def wait_for_a_step(process: subprocess.Popen, place: Workplace) -> str:
    """Wait until a checkpoint or an output is written, and return its name."""
    before = written(place)
    while process.poll() is None:
        for path, when in written(place).items():
            unfinished = ".unfinished-" in str(path) or path.name.startswith("events.")
            if not unfinished and path.suffix != ".log" and before.get(path) != when:
                return str(path)
        time.sleep(0.1)
    return "the end"


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


def test_the_comparison_notices_one_changed_byte(tmp_path):
    for name, text in (("first", b"a"), ("second", b"a"), ("third", b"b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "predictions.parquet").write_bytes(text)
    assert differences(tmp_path / "first", tmp_path / "second") == []
    assert differences(tmp_path / "first", tmp_path / "third") == ["predictions.parquet"]
    (tmp_path / "second" / "more.csv").write_text("a\n1\n")
    assert differences(tmp_path / "first", tmp_path / "second") == ["more.csv: in one alone"]
