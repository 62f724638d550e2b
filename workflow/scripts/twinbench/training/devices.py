"""One GPU for each job on a machine: a lease that no more jobs than allowed can hold at the same time.

Snakemake counts GPUs but does not assign them, so several jobs would all take the first one. A lease
is a lock on a file, which the system gives back when the process ends, however it ends.
"""

import fcntl
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from twinbench.errors import InputError
from twinbench.training import gpus, lock, recorded
from twinbench.training.gpus import Device

log = logging.getLogger(__name__)

_VISIBLE = "CUDA_VISIBLE_DEVICES"
# As nvidia-smi counts. By default CUDA's device 0 is the fastest one.
_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
_SECONDS_BETWEEN_ATTEMPTS = 1.0
# CUDA compute capabilities, the oldest and the newest.
Capabilities = tuple[tuple[int, int], tuple[int, int]]
_OLDEST_DRIVER = 580  # of CUDA 13, for PyTorch; TensorFlow needs 525 (docs/clusters.md#gpus)


class Lease:
    """The GPU that this process may use: `device` is its name, None for none: the CPU.

    `note` says why a job ran on the CPU although there was a GPU, and is None otherwise.
    """

    def __init__(self, device: str | None = None, descriptor: int | None = None) -> None:
        self.device = device
        self.note: str | None = None
        self._descriptor = descriptor

    def release(self) -> None:
        """Let other jobs have the device. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):  # where there are no locks
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # for child processes, too
            os.close(descriptor)


@contextmanager
def leased(
    wanted: str,
    jobs_per_gpu: int = 1,
    system: Path = gpus.ROOT,
    supported: Capabilities | None = None,
) -> Iterator[Lease]:
    """A lease of the one GPU that this process may use within the block.

    `wanted` is `auto` (a GPU where there is one), `gpu` (or an `InputError`) or `cpu`. Waits while
    `jobs_per_gpu` others hold each device. A GPU whose compute capability is known and not among the
    `supported` ones (from the oldest to the newest) is left to others. CUDA_VISIBLE_DEVICES is set for
    the frameworks, so the block must begin before they first look for devices; without a lease they see
    none.
    """
    found = [] if wanted == "cpu" else gpus.visible(os.environ.get(_VISIBLE), system)
    if wanted == "gpu" and not found:
        raise InputError(
            "training.device: gpu was requested, but no GPU is visible; "
            "set auto or cpu, or check CUDA_VISIBLE_DEVICES and `nvidia-smi`"
        )
    usable = [device for device in found if _is_supported(device, supported)]
    lease = _wait_for_one(usable, jobs_per_gpu) if usable else Lease()
    if found and not usable:
        _go_without(lease, wanted, _no_code(found[0], supported))
    try:
        with _environment(_ORDER | {_VISIBLE: lease.device or ""}):
            yield lease
    finally:
        lease.release()


def check(lease: Lease, wanted: str, device: str) -> None:
    """Release the lease if the framework does not use its GPU: its `device` is "cpu".

    Where a GPU was `wanted`, raises `InputError`; otherwise leaves the lease with a note.
    """
    if lease.device is None or device != "cpu":
        return
    lease.release()
    _go_without(lease, wanted, _cure())


def _go_without(lease: Lease, wanted: str, cure: str) -> None:
    if wanted == "gpu":
        raise InputError(
            "training.device: gpu was requested, but the framework cannot use it; "
            f"{cure}, or set auto or cpu"
        )
    lease.note = f"{recorded.NO_GPU} {cure}"
    log.warning("%s", lease.note)


def _is_supported(device: Device, supported: Capabilities | None) -> bool:
    if device.capability is None or supported is None:
        return True
    oldest, newest = supported
    return oldest <= device.capability <= newest


def _no_code(device: Device, supported: Capabilities | None) -> str:
    """Why no GPU is usable, by the first one."""
    assert device.capability and supported
    capability, oldest, newest = (
        ".".join(map(str, each)) for each in (device.capability, *supported)
    )
    return recorded.NO_CODE.format(capability=capability, oldest=oldest, newest=newest)


def _cure() -> str:
    """What makes the GPU usable."""
    driver = gpus.driver_version() or ""
    version = re.match(r"\d+", driver)
    if version and int(version[0]) < _OLDEST_DRIVER:
        return recorded.OLD_DRIVER.format(driver=driver, oldest=_OLDEST_DRIVER)
    if {"APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"} & os.environ.keys():
        return recorded.NO_NV
    return recorded.GPU_CURE


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _wait_for_one(devices: list[Device], jobs_per_gpu: int) -> Lease:
    folder = _folder()
    logged = False
    while True:
        lease = _take(folder, devices, jobs_per_gpu)
        if lease:
            log.info("leased GPU %s", lease.device)
            return lease
        if not logged:
            names = ", ".join(device.name for device in devices)
            log.info("waiting for a GPU: other jobs hold %s", names)
            logged = True
        time.sleep(_SECONDS_BETWEEN_ATTEMPTS)


def _take(folder: Path, devices: list[Device], jobs_per_gpu: int) -> Lease | None:
    """A lease of the device that fewest jobs hold, the first of several; None if all are taken."""
    choosing = _lock(folder / "choosing", fcntl.LOCK_EX)
    assert choosing is not None  # it waits: jobs that count at the same time would count each other
    free = [(device, _free_slots(folder, device, jobs_per_gpu)) for device in devices]
    device, slots = max(free, key=lambda found: len(found[1]))
    lease = Lease(device.name, slots[0]) if slots else None
    kept = slots[:1]
    for descriptor in [choosing, *(slot for _, slots in free for slot in slots)]:
        if descriptor not in kept:
            os.close(descriptor)
    return lease


def _free_slots(folder: Path, device: Device, jobs_per_gpu: int) -> list[int]:
    """The locks of a device that no other job holds, now held by this process: open files."""
    name = _as_file_name(device.identity)
    paths = [folder / f"device-{name}-{slot}" for slot in range(jobs_per_gpu)]
    locks = [_lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB) for path in paths]
    return [lock for lock in locks if lock is not None]


def _folder() -> Path:
    """The folder of locks: one for each user, machine and allocation of a batch system.

    Jobs of a batch system may each call their device 0 and mean another.
    """
    job = os.environ.get("SLURM_JOB_ID")
    scope = f"{os.getuid()}-{os.uname().nodename}" + (f"-{_as_file_name(job)}" if job else "")
    folder = Path(tempfile.gettempdir()) / f"twinbench-devices-{scope}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _as_file_name(text: str) -> str:
    """The text as part of a file's name: the environment's variables may hold anything."""
    return re.sub(r"[^\w.-]", "-", text)[:80]


def _lock(path: Path, operation: int) -> int | None:
    """The descriptor of the locked file, or None if another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        if error.errno not in lock.NO_LOCKS:
            raise
        if operation == fcntl.LOCK_EX:  # the first lock: once is enough
            log.warning(
                "%s: no locks there (%s), so all jobs take the first GPU: set TMPDIR to a local folder",
                path.parent,
                error,
            )
    return descriptor
