"""The folder that a study runs in: permissions, a dead process's lock, a clock that was set back."""

import os
import subprocess
import sys
import time

import pytest
from support import ROOT
from twinbench import workplace
from twinbench.errors import InputError

LIVING = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from twinbench import workplace
life = workplace.announce(Path(sys.argv[2]), "here")
print("announced", flush=True)
time.sleep(60)
"""


@pytest.fixture
def records(tmp_path):
    """Snakemake's folder, locked by a run on the host `here`."""
    folder = tmp_path / ".snakemake"
    workplace.announce(folder, "here")[0].close()
    (folder / "locks").mkdir()
    (folder / "locks" / "0.output.lock").write_text("results/demo/report.md\n")
    return folder


@pytest.fixture
def living(records):
    command = [sys.executable, "-c", LIVING, str(ROOT / "workflow/scripts"), str(records)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "announced\n"
    # It has found the lock that the fixture left, as of a dead process; it makes its own.
    (records / "locks").mkdir(exist_ok=True)
    (records / "locks" / "0.output.lock").write_text("results/demo/report.md\n")
    yield process
    process.kill()
    process.wait()


def test_a_dead_runs_lock_is_removed(records):
    file, removed = workplace.announce(records, "here")
    assert removed and not (records / "locks").exists()
    file.close()


def test_a_living_runs_lock_stays_and_goes_when_it_is_killed(records, living):
    for _ in range(2):
        file, removed = workplace.announce(records, "here")
        assert not removed and (records / "locks" / "0.output.lock").exists()
        file.close()
    living.kill()
    living.wait()
    file, removed = workplace.announce(records, "here")
    assert removed
    file.close()


def test_a_lock_of_another_host_stays(records):
    for _ in range(2):  # nor does looking at it make it ours
        file, removed = workplace.announce(records, "elsewhere")
        assert not removed and (records / "locks" / "0.output.lock").exists()
        file.close()


def test_without_a_lock_there_is_nothing_to_remove(tmp_path):
    file, removed = workplace.announce(tmp_path / ".snakemake", "here")
    assert not removed
    file.close()


def test_a_folder_without_permission_is_refused_in_one_line(tmp_path):
    def check():
        if os.getuid() == 0:
            os.setuid(65534)  # permissions do not bind root
        workplace.check_writable(tmp_path / "results")

    (tmp_path / "results").mkdir()
    (tmp_path / "results").chmod(0o555)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            check()
        except InputError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert "no permission to write there" in told.read()


def test_a_folder_that_is_yet_to_be_made_is_fine(tmp_path):
    workplace.check_writable(tmp_path / "new" / "results")


def test_results_of_the_future_are_refused_with_what_to_do(tmp_path):
    (tmp_path / "tensors").touch()
    workplace.check_clock(tmp_path)
    os.utime(tmp_path / "tensors", (time.time() + 3600,) * 2)
    with pytest.raises(InputError, match=r"tensors is dated .* the clock was set back; .*touch -r"):
        workplace.check_clock(tmp_path)


def test_the_clock_set_back_during_a_run_is_told(tmp_path, monkeypatch):
    before = workplace.clock_offset()
    assert workplace.told_of_the_clock(before, tmp_path) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    assert "set back by 3600 s" in workplace.told_of_the_clock(before, tmp_path)
