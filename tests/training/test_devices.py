"""Leases of GPUs, by real processes that ask for pretended devices."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest
from support import SCRIPTS
from twinbench.errors import InputError
from twinbench.training import devices

HOLDER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from twinbench.training import devices
with devices.leased("auto") as device:
    print(device, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process that leases one of the visible devices and holds it for so many seconds."""
    processes = []

    def start(visible: str | None, seconds: float = 60, **environment: str) -> subprocess.Popen:
        variables = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        variables |= {"TMPDIR": str(tmp_path), **environment}
        if visible is not None:
            variables["CUDA_VISIBLE_DEVICES"] = visible
        command = [sys.executable, "-c", HOLDER, str(SCRIPTS), str(seconds)]
        process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def leased(process: subprocess.Popen) -> str:
    device, visible = process.stdout.readline().split()
    assert device == visible
    return device


def waits(process: subprocess.Popen) -> bool:
    time.sleep(1.5)
    return process.poll() is None


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


def test_without_the_variable_the_devices_of_the_driver_are_leased(holder, tmp_path):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'GPU 0: X (UUID: GPU-a)'\necho 'GPU 1: X (UUID: GPU-b)'\n")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    first, second = holder(None, PATH=path), holder(None, PATH=path)
    assert {leased(first), leased(second)} == {"0", "1"}


@pytest.mark.parametrize("visible", [None, "", "-1"])
def test_without_a_gpu_nothing_is_locked(monkeypatch, tmp_path, visible):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))  # which has no nvidia-smi
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with devices.leased("auto") as device:
        assert device is None
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    assert list(tmp_path.iterdir()) == []


def test_cpu_hides_the_devices_from_the_frameworks(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    with devices.leased("cpu") as device:
        assert device is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_gpu_never_falls_back_to_the_cpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(InputError, match=r"training\.device"), devices.leased("gpu"):
        pass
    with pytest.raises(InputError, match=r"training\.device"):
        devices.check("gpu", "cpu")


def test_a_gpu_that_the_framework_cannot_use_is_a_warning(monkeypatch, caplog):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    devices.check("cpu", "cpu")
    assert not caplog.records
    devices.check("auto", "cpu")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
