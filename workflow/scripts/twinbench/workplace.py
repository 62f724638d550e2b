"""The folder that a study runs in: whether it can be written, who else lives there, its clock."""

import fcntl
import os
import shutil
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from twinbench.errors import InputError

_TOLERANCE = 5.0  # seconds between the clocks of a file server and of this machine


def check_writable(folder: Path) -> None:
    """Raise `InputError` unless files can be made in `folder`, or it can be made itself."""
    existing = next(
        path for path in (folder, *folder.absolute().parents) if os.access(path, os.F_OK)
    )
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"{existing}: no permission to write there; "
            "change its permissions, or run in a folder of your own"
        )


def announce(records: Path, host: str) -> tuple[TextIO, bool]:
    """Hold this process's lock in `records` (the folder .snakemake), and remove a dead one's.

    Snakemake's own lock outlives a SIGKILL or a power cut, and then refuses every start. So each
    process of the workflow also holds a lock that the system takes back when the process ends:
    whoever can have that alone knows that Snakemake's lock is a dead process's.

    Returns the open file, which holds the lock while it is open, and whether Snakemake's lock was
    removed. It stays where another process lives, and where it was made on another host than `host`,
    since not all file systems tell one host of the other's locks.
    """
    records.mkdir(parents=True, exist_ok=True)
    file = open(records / "twinbench.lock", "a+", encoding="utf-8")  # noqa: SIM115, held open
    removed = False
    with suppress(OSError):  # another process lives, or the file system has no such locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        removed = _release(file, records / "locks", host)
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
    return file, removed


def _release(file: TextIO, locks: Path, host: str) -> bool:
    """Remove `locks` if `host` made them, and note in `file` who makes the next ones."""
    locked = locks.is_dir() and any(locks.iterdir())
    file.seek(0)
    if locked and file.read() != host:
        return False
    if locked:
        shutil.rmtree(locks)
    file.truncate(0)
    file.write(host)
    file.flush()
    return locked


def check_clock(results: Path) -> None:
    """Raise `InputError` if a result is dated in the future: then what is new cannot be told."""
    dated = [(path.lstat().st_mtime, path) for path in results.rglob("*")]
    newest, path = max(dated, default=(0.0, results))
    if newest > time.time() + _TOLERANCE:
        raise InputError(
            f"{path} is dated {datetime.fromtimestamp(newest):%Y-%m-%d %H:%M:%S}, which is to come: "
            f"the clock was set back; set it right, or {present_time(results)}"
        )


def clock_offset() -> float:
    """Seconds between the clock and one that cannot be set; falls when the clock is set back."""
    return time.time() - time.monotonic()


def told_of_the_clock(offset: float, results: Path) -> str | None:
    """A warning if the clock was set back since its `clock_offset` was `offset`."""
    back = offset - clock_offset()
    if back < _TOLERANCE:
        return None
    return (
        f"the clock was set back by {back:.0f} s during this run, so results look older than what "
        f"they were made from; {present_time(results)}, or they will be made again"
    )


def present_time(results: Path) -> str:
    """What to do about wrong dates: all files get one and the same, so none is newer than another."""
    return f"give all results the same time: touch .now; find {results} -exec touch -r .now {{}} +"
