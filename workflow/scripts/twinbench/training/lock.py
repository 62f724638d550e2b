"""One process for each training: a lock in the folder of its files, gone with the process.

Snakemake cannot see a training that outlived the Snakemake that started it, and starts another.
"""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twinbench.errors import InputError
from twinbench.files import errors_name

log = logging.getLogger(__name__)

# What file systems without locks answer: NFS without lockd, Lustre mounted without flock, others.
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Within the block no other process can hold the lock of the training `name` in `folder`.

    Raises `InputError` where one does. Where the file system has no locks, a warning says so, and the
    block runs without.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".lock-{name}"
    descriptor = _locked(path)
    try:
        with errors_name(path):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{socket.gethostname()} {os.getpid()}".encode(), 0)
        yield
    finally:
        # While it is still held: whoever locks the deleted file afterwards notices that.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path) -> int:
    """The descriptor of the locked file. The system releases it when the process ends."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, path)
            if _is_file_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has deleted it in the meantime


def _lock(descriptor: int, path: Path) -> None:
    # POSIX locks: NFS knows them between machines, and child processes do not inherit them. They are
    # lost when the process closes the file, through whichever descriptor: nothing else may open it.
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise InputError(_refusal(path, os.pread(descriptor, 1000, 0).decode())) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        log.warning(
            "%s: the file system has no locks (%s): make sure that no other process runs this training",
            path,
            error,
        )


def _refusal(path: Path, holder: str) -> str:
    host, _, process = holder.partition(" ")
    if not process:  # it has not written yet
        return f"{path}: another process runs this training; wait until it ends, then start again"
    return (
        f"{path}: process {process} on {host} runs this training; wait until it ends, or end it with "
        f"`kill {process}` on {host}, which saves its state, then start again"
    )


def _is_file_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
