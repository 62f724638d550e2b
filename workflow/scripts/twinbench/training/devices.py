"""One GPU for each training on a machine: a lease that no other training can hold at the same time.

Snakemake counts GPUs but does not assign them, so several jobs would all take the first one. A lease
is a lock on a file, which the system gives back when the process ends, however it ends.
"""

import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twinbench.errors import InputError

log = logging.getLogger(__name__)

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_SECONDS_BETWEEN_ATTEMPTS = 1.0


@contextmanager
def leased(wanted: str) -> Iterator[str | None]:
    """The one GPU that this process may use within the block, or None for none: the CPU.

    `wanted` is `auto` (a GPU where there is one), `gpu` (or an `InputError`) or `cpu`. Waits while
    other trainings hold all devices. CUDA_VISIBLE_DEVICES is set for the frameworks, so the block must
    begin before they first look for devices.
    """
    devices = [] if wanted == "cpu" else visible_devices()
    if wanted == "gpu" and not devices:
        raise InputError(
            "training.device: gpu was requested, but no GPU is visible; "
            "set auto or cpu, or check CUDA_VISIBLE_DEVICES and `nvidia-smi`"
        )
    if not devices:
        if wanted == "cpu":
            os.environ[_VISIBLE] = ""
        yield None
        return
    device, descriptor = _wait_for_one(devices)
    os.environ[_VISIBLE] = device
    try:
        yield device
    finally:
        os.close(descriptor)


def check(wanted: str, device: str) -> None:
    """Check that the framework uses the requested device."""
    if device != "cpu" or wanted == "cpu":
        return
    advice = "install its build for GPUs (see envs/)"
    if wanted == "gpu":
        raise InputError(
            f"training.device: gpu was requested, but the framework finds none; {advice}, "
            "or set auto or cpu"
        )
    if visible_devices():
        log.warning("the framework does not find the GPU; %s. Training on the CPU", advice)


def visible_devices() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes.

    Those that this variable lists (as a batch system sets it, or a user), else all of the machine.
    As CUDA does, takes those before the first name that means none.
    """
    listed = os.environ.get(_VISIBLE)
    if listed is None:
        return [str(index) for index in range(_count_devices())]
    devices = []
    for name in (part.strip() for part in listed.split(",")):
        if name in ("", "-1", "NoDevFiles", "none"):
            break
        devices.append(name)
    return devices


def _count_devices() -> int:
    """How many GPUs NVIDIA's driver lists; 0 without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    listing = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())


def _wait_for_one(devices: list[str]) -> tuple[str, int]:
    """The first device that is free, and the open file that holds its lock."""
    folder = _folder()
    logged = False
    while True:
        for device in devices:
            descriptor = _lock(folder / f"device-{device.replace('/', '-')}")
            if descriptor is not None:
                log.info("leased GPU %s", device)
                return device, descriptor
        if not logged:
            log.info("waiting for a GPU: other trainings hold %s", ", ".join(devices))
            logged = True
        time.sleep(_SECONDS_BETWEEN_ATTEMPTS)


def _folder() -> Path:
    """The folder of locks: one for each user, machine and allocation of a batch system.

    Jobs of a batch system may each call their device 0 and mean another.
    """
    job = os.environ.get("SLURM_JOB_ID")
    scope = f"{os.getuid()}-{os.uname().nodename}" + (f"-{job}" if job else "")
    folder = Path(tempfile.gettempdir()) / f"twinbench-devices-{scope}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _lock(path: Path) -> int | None:
    """The descriptor of the locked file, or None if another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
