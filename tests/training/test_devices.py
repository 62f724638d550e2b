"""Leases of GPUs, by real processes that ask for pretended devices."""

import errno
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from pretended import GPU_A, GPU_B, MIG_1, MIG_2, Machine
from support import SCRIPTS, make_job, training_arguments
from twinbench.errors import InputError
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.training import devices

LONGEST_WAIT = 30  # seconds
TWO = f"GPU 0: X (UUID: {GPU_A})\nGPU 1: X (UUID: {GPU_B})\n"
HOLDER = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from twinbench.training import devices
with devices.leased("auto", int(sys.argv[4]), Path(sys.argv[2])) as lease:
    started = time.monotonic()
    print(lease.device, os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"], flush=True)
    time.sleep(float(sys.argv[3]))
    print(started, time.monotonic(), flush=True)
"""


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def variables(machine, tmp_path):
    """The environment of a process on the machine."""

    def make(visible: str | None, **more: str) -> dict[str, str]:
        found = os.environ | {"TMPDIR": str(tmp_path), "PATH": str(machine.programs)}
        found.pop("CUDA_VISIBLE_DEVICES", None)
        return found | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) | more

    return make


@pytest.fixture
def holder(machine, variables, start_program):
    """Starts a process that leases one of the visible devices and holds it for so many seconds."""

    def start(
        visible: str | None, seconds: float = 60, jobs_per_gpu: int = 1, **more: str
    ) -> subprocess.Popen:
        arguments = (machine.root, seconds, jobs_per_gpu)
        return start_program(HOLDER, *arguments, env=variables(visible, **more))

    return start


def leased(process: subprocess.Popen) -> str:
    """The device that the process leases within a few seconds."""
    ready, _, _ = select.select([process.stdout], [], [], LONGEST_WAIT)
    assert ready, "no lease"
    device, visible, order = process.stdout.readline().split()
    assert device == visible and order == "PCI_BUS_ID"
    return device


def held(process: subprocess.Popen) -> tuple[float, float]:
    """From when to when a process that ended had its lease, in seconds of a clock of the machine."""
    start, end = process.stdout.readline().split()
    return float(start), float(end)


def waits(process: subprocess.Popen) -> bool:
    time.sleep(1.5)
    return process.poll() is None


def most_at_once(spans: list[tuple[float, float]]) -> int:
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)


# --- One device for each job -------------------------------------------------------------------


def test_each_process_gets_a_device_of_its_own_and_the_next_one_waits(holder):
    first, second = holder("4,7"), holder("4,7")
    assert {leased(first), leased(second)} == {"4", "7"}
    third = holder("4,7", seconds=0)
    assert waits(third)
    second.kill()
    leased(third)


def test_the_lease_of_a_killed_process_is_free_at_once(holder):
    first = holder("4")
    assert leased(first) == "4"
    second = holder("4", seconds=0)
    assert waits(second)
    first.send_signal(signal.SIGKILL)
    assert leased(second) == "4"


def test_the_lease_ends_with_the_block(holder):
    assert leased(holder("4", seconds=0)) == "4"
    assert leased(holder("4", seconds=0)) == "4"


def test_allocations_of_a_batch_system_do_not_wait_for_each_other(holder):
    # Each job may see its own device as 0.
    first, second = holder("0", SLURM_JOB_ID="1"), holder("0", SLURM_JOB_ID="2")
    assert leased(first) == leased(second) == "0"


def test_without_the_variable_the_devices_of_the_machine_are_leased(holder, machine):
    machine.lists(TWO)
    first, second = holder(None), holder(None)
    assert {leased(first), leased(second)} == {GPU_A, GPU_B}


@pytest.mark.parametrize("listed_by", ["nvidia-smi", "driver"])
def test_one_card_has_one_lease_whatever_it_is_called(holder, machine, listed_by):
    if listed_by == "driver":
        machine.has_driver_files(GPU_A, GPU_B)
    else:
        machine.lists(TWO)
    first = holder("1")
    leased(first)
    others = [holder(name, seconds=0) for name in (GPU_B, GPU_B[:10])]
    assert all(waits(other) for other in others)
    leased(holder("0", seconds=0))  # the other card is free
    first.kill()
    assert all(leased(other) for other in others)


def test_each_part_of_a_divided_card_has_a_lease_of_its_own(holder, machine):
    parts = "".join(f"  MIG 1g.10gb Device 0: (UUID: {part})\n" for part in (MIG_1, MIG_2))
    machine.lists(f"GPU 0: X (UUID: {GPU_A})\n{parts}")
    first, second = holder("0"), holder(None)
    assert {leased(first), leased(second)} == {MIG_1, MIG_2}


# --- More jobs than devices, and fewer ---------------------------------------------------------


@pytest.mark.parametrize("jobs_per_gpu", [1, 2])
def test_never_more_jobs_hold_a_device_than_allowed_and_each_device_is_used(
    holder, machine, jobs_per_gpu
):
    machine.lists(TWO)
    jobs = [holder(None, seconds=0.7, jobs_per_gpu=jobs_per_gpu) for _ in range(8)]
    spans = {GPU_A: [], GPU_B: []}
    for job in jobs:
        spans[leased(job)].append(held(job))
    assert [most_at_once(found) for found in spans.values()] == [jobs_per_gpu] * 2


def test_jobs_that_may_share_a_device_spread_over_all(holder):
    jobs = [holder("0,1", jobs_per_gpu=4) for _ in range(4)]
    assert Counter(leased(job) for job in jobs) == {"0": 2, "1": 2}


def test_with_more_devices_than_jobs_nobody_waits(holder):
    jobs = [holder("0,1,2,3") for _ in range(3)]
    assert len({leased(job) for job in jobs}) == 3


# --- The device that was asked for -------------------------------------------------------------


@pytest.fixture
def here(machine, tmp_path, monkeypatch):
    """This process on the machine, without GPUs."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("PATH", str(machine.programs))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return machine.root


@pytest.mark.parametrize("visible", [None, "", "-1"])
def test_without_a_gpu_nothing_is_locked_and_the_environment_is_left_as_it_was(
    here, tmp_path, monkeypatch, visible
):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with devices.leased("auto", system=here) as lease:
        assert lease.device is None
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("wanted", ["cpu", "auto"])
def test_without_a_lease_the_frameworks_see_no_device(here, monkeypatch, wanted):
    if wanted == "cpu":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    with devices.leased(wanted, system=here) as lease:
        assert lease.device is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_gpu_never_falls_back_to_the_cpu(here, monkeypatch):
    with pytest.raises(InputError, match=r"training\.device"), devices.leased("gpu", system=here):
        pass
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    with devices.leased("gpu", system=here) as lease:
        with pytest.raises(InputError, match=r"training\.device.*make \.venv GPU=yes") as error:
            devices.check(lease, "gpu", "cpu")
        assert "\n" not in str(error.value)


def test_a_gpu_that_the_framework_cannot_use_is_one_warning_and_given_back(
    here, holder, monkeypatch, caplog
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    monkeypatch.setattr("tempfile.tempdir", str(here.parent))  # where the other process looks
    caplog.set_level("WARNING", "twinbench")
    with devices.leased("auto", system=here) as lease:
        devices.check(lease, "auto", "NVIDIA A100")
        assert lease.note is None and not caplog.records
        other = holder("4", seconds=0)
        assert waits(other)
        devices.check(lease, "auto", "cpu")
        assert leased(other) == "4"
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.message == lease.note
    assert "make .venv GPU=yes" in lease.note and "\n" not in lease.note


@pytest.mark.parametrize(
    ("driver", "variable", "cure"),
    [
        ("550.54.15", "HOME", "its driver is 550.54.15, and 580 or newer is needed"),
        ("580.95.05", "APPTAINER_CONTAINER", "--apptainer-args=--nv"),
        ("580.95.05", "HOME", "make .venv"),
        (None, "HOME", "make .venv"),
    ],
)
def test_the_cure_for_a_gpu_that_cannot_be_used_is_that_of_the_cause(
    here, monkeypatch, driver, variable, cure
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    monkeypatch.setenv(variable, "x")
    monkeypatch.setattr("twinbench.training.gpus.driver_version", lambda: driver)
    with devices.leased("auto", system=here) as lease:
        devices.check(lease, "auto", "cpu")
    assert cure in lease.note
    with devices.leased("gpu", system=here) as lease, pytest.raises(InputError, match=cure):
        devices.check(lease, "gpu", "cpu")


CAPABILITIES = [  # the first GPU's, the second's, and the one that a framework for 7.5 to 9.0 takes
    ("7.0", "8.0", GPU_B),
    ("12.0", "7.5", GPU_B),
    ("9.0", "7.0", GPU_A),
    (None, "8.0", GPU_A),  # unknown: it may be one
    ("7.0", "12.0", None),
]


@pytest.mark.parametrize(("first", "second", "taken"), CAPABILITIES)
def test_a_gpu_that_the_framework_has_no_code_for_is_left_to_others(
    here, machine, caplog, first, second, taken
):
    rows = zip((GPU_A, GPU_B), (first, second), strict=True)
    machine.lists(TWO, "".join(f"{uuid}, {each}\n" for uuid, each in rows if each))
    supported = (7, 5), (9, 0)
    with devices.leased("auto", system=here, supported=supported) as lease:
        assert lease.device == taken
        assert os.environ["CUDA_VISIBLE_DEVICES"] == (taken or "")
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ([] if taken else [lease.note])
    if taken is None:
        cause = r"its compute capability is 7\.0, and .* needs 7\.5 to 9\.0 .*docs/clusters\.md"
        assert re.search(cause, lease.note)
        with (
            pytest.raises(InputError, match=rf"training\.device.*{cause}"),
            devices.leased("gpu", system=here, supported=supported),
        ):
            pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_locks_in_the_temporary_folder_one_warning_says_so(here, monkeypatch, caplog, code):
    def refuse(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with devices.leased("auto", 2, here) as lease:
        assert lease.device == "4"
    assert [record.levelname for record in caplog.records if record.levelno > 20] == ["WARNING"]
    assert "no locks" in caplog.text


def test_a_job_on_the_cpu_of_a_machine_without_a_gpu_needs_no_warning(here, caplog):
    with devices.leased("auto", system=here) as lease:
        devices.check(lease, "auto", "cpu")
    assert lease.note is None and not caplog.records


def test_another_job_gets_the_gpu_while_a_framework_without_one_still_trains(
    holder, variables, tmp_path
):
    """A real training of many short epochs, beside a GPU that its framework cannot use."""
    job = make_job(ARCHITECTURES["alexnet32"], epochs=1000)
    training = subprocess.Popen(
        [sys.executable, SCRIPTS / "train.py", *training_arguments(job, "pytorch", tmp_path)],
        env=variables("7"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: "make .venv" in log_of(tmp_path))
        other = holder("7", seconds=0)
        assert leased(other) == "7"
        assert training.poll() is None, log_of(tmp_path)
    finally:
        training.kill()
        training.wait()
    assert log_of(tmp_path).count("make .venv GPU=yes") == 1


def log_of(folder: Path) -> str:
    path = folder / "train.log"
    return path.read_text() if path.exists() else ""


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
