"""One process for each training, by real processes."""

import errno
import fcntl
import logging
import os
import re
import signal
import socket
from itertools import count

import pytest
from support import SCRIPTS, make_job, options, training_arguments, training_settings
from twinbench.config.arguments import to_arguments
from twinbench.errors import InputError
from twinbench.training import lock

HOLDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from twinbench.training import lock
with lock.held(Path(sys.argv[2]), sys.argv[3]):
    print("held", flush=True)
    sys.stdin.readline()
"""
# Holds the lock for a moment, and fails if another process does so at the same time.
CONTENDER = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from twinbench.errors import InputError
from twinbench.training import lock
folder, alone, held = Path(sys.argv[2]), Path(sys.argv[2], "alone"), 0
while held < 100:
    try:
        with lock.held(folder, "run"):
            os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
            alone.unlink()
            held += 1
    except InputError:
        pass
"""


@pytest.fixture
def holder(start_program, tmp_path):
    """A process that holds the lock of the training `run` until it is told to end."""
    process = start_program(HOLDER, tmp_path, "run")
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_holds_the_lock(holder, tmp_path):
    with pytest.raises(InputError) as caught, lock.held(tmp_path, "run"):
        pass
    message = str(caught.value)
    assert f"process {holder.pid} on {socket.gethostname()}" in message
    assert f"`kill {holder.pid}`" in message and "\n" not in message
    with pytest.raises(InputError), lock.held(tmp_path, "run"):  # the refusal took nothing away
        pass


def test_a_lock_without_a_name_yet_refuses_too(holder, tmp_path):
    (tmp_path / ".lock-run").write_text("")
    with pytest.raises(InputError, match="another process"), lock.held(tmp_path, "run"):
        pass


def test_other_trainings_of_the_folder_are_free(holder, tmp_path):
    with lock.held(tmp_path, "other"):
        pass


def test_a_clean_end_frees_the_lock_and_leaves_nothing(holder, tmp_path):
    holder.communicate("\n")
    assert not list(tmp_path.iterdir())
    with lock.held(tmp_path, "run"):
        pass


def test_the_lock_of_a_killed_process_is_free(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock.held(tmp_path, "run"):
        assert (tmp_path / ".lock-run").read_text() == f"{socket.gethostname()} {os.getpid()}"
    assert not list(tmp_path.iterdir())


def test_the_lock_goes_with_the_process_and_not_with_its_children(start_program, tmp_path):
    fork = "child = os.fork() or time.sleep(60); print(child, flush=True)"
    process = start_program(
        "import os\n" + HOLDER.replace('print("held", flush=True)', fork), tmp_path, "run"
    )
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    try:
        with lock.held(tmp_path, "run"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_processes_that_come_and_go_never_hold_a_deleted_lock(start_program, tmp_path):
    contenders = [start_program(CONTENDER, tmp_path) for _ in range(3)]
    assert [process.wait(timeout=60) for process in contenders] == [0, 0, 0]
    assert not list(tmp_path.iterdir())


def test_a_lock_deleted_while_it_is_taken_is_taken_again(tmp_path, monkeypatch):
    calls, path = count(), tmp_path / ".lock-run"
    monkeypatch.setattr(fcntl, "lockf", lambda *arguments: next(calls) or path.unlink())
    with lock.held(tmp_path, "run"):
        assert path.exists()
    assert next(calls) == 2


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_locks_of_the_file_system_one_warning_says_so(tmp_path, monkeypatch, caplog, code):
    def refuse(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with lock.held(tmp_path, "run"):
        pass
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no locks" in caplog.text


# --- Trainings ---------------------------------------------------------------------------------

# Trains the tiny network until it is stopped.
TRAINING = """
import runpy, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from support import TINY
from twinbench.networks.architectures import ARCHITECTURES
ARCHITECTURES[TINY.name] = TINY
sys.argv[:] = [sys.argv[1] + "/train.py", *sys.argv[3:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def training(start_program, tmp_path):
    """A process that trains, once it has begun, and the arguments that start it."""
    arguments = training_arguments(make_job(epochs=1000), "pytorch", tmp_path)
    process = start_program(TRAINING, SCRIPTS.parents[1] / "tests", *arguments)
    while "epoch 1" not in (log := read_if_there(tmp_path / "train.log")):
        assert process.poll() is None, log
    return process, arguments


def read_if_there(path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_second_training_is_refused_and_the_first_one_goes_on_and_saves(
    training, tmp_path, run_script, caplog
):
    process, arguments = training
    arguments[arguments.index("--log") + 1] = str(tmp_path / "second.log")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run_script("train.py", arguments) == 1
    assert re.search(rf"error: .*process {process.pid} on ", caplog.messages[-1])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "second.log"])
    process.terminate()
    assert process.wait(timeout=60) == 143
    assert list(tmp_path.glob(".checkpoint-run-*")) and not list(tmp_path.glob(".lock*"))


def test_a_second_pretraining_is_refused(start_program, tmp_path, run_script, caplog):
    process = start_program(HOLDER, tmp_path, "tiny.pth")
    assert process.stdout.readline() == "held\n"
    settings = {
        "model": "tiny_resizable",
        "images": 100,
        "seed": 0,
        "training": training_settings(),
    }
    files = {"output": tmp_path / "tiny.pth", "tensorboard": tmp_path / "events"}
    words = options(files | {"backend": "pytorch", "threads": 1})
    assert run_script("pretrain_weights.py", [*to_arguments(settings).values(), *words]) == 1
    assert f"process {process.pid} on " in caplog.messages[-1]
    assert [path.name for path in tmp_path.iterdir()] == [".lock-tiny.pth"]
