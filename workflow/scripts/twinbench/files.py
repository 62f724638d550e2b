"""Files written whole or not at all, and checksums."""

import csv
import errno
import glob
import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from twinbench.errors import InputError

_BLOCK = 1 << 20
_LARGEST_CONTENT = 1 << 30  # bytes; of CIFAR-10 184 million
_UNFINISHED = ".unfinished-"
# What a disk may refuse; libraries report it as errors of their own, some by the text alone.
_REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


@contextmanager
def readable(path: Path, advice: str) -> Iterator[None]:
    """Turn whatever is wrong with the file at `path` into an `InputError` of one line."""
    try:
        yield
    except FileNotFoundError:
        to_do = advice.removeprefix("delete it and ")
        raise InputError(f"{path}: no such file; {to_do}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder instead of a file; {advice}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; {advice}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "content"
        raise InputError(f"{path}: {key}: {first['msg']}; {advice}") from None
    except (ValueError, OSError, NotImplementedError, csv.Error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's, not Parquet's
        raise InputError(f"{path}: {' '.join(str(error).split())}; {advice}") from None


@contextmanager
def written_atomically(path: Path | str) -> Iterator[Path]:
    """A temporary path near `path`, moved onto it when the block succeeds and deleted when not.

    It lies in a hidden folder beside `path`, so that what a library or a killed process leaves there
    goes with the folder: at the end, or at the next start of the same file.
    """
    path = Path(path)
    with errors_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(path.parent, glob.escape(path.name))
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}{_UNFINISHED}", dir=path.parent))
        temporary = folder / path.name
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # some libraries make their files private
            temporary.replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Within the block, what a disk refuses is an `OSError` with `path`, whatever library wrote."""
    try:
        yield
    except Exception as error:
        number = _refusal(error)
        if number is None or _UNFINISHED not in (getattr(error, "filename", None) or _UNFINISHED):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _refusal(error: BaseException | None) -> int | None:
    """The number in `_REFUSALS` that an error is about, or one that it followed: torch raises two."""
    while error:
        for number in _REFUSALS:
            if os.strerror(number) in str(error):
                return number
        error = error.__context__
    return None


def remove_unfinished(folder: Path, name: str) -> None:
    """Delete what killed processes left of files called `name`, a pattern, in `folder`."""
    for path in folder.glob(f".{name}{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def checksum(path: Path | str, algorithm: str = "sha256") -> str:
    """The hexadecimal digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def checksum_of_content(path: Path | str) -> str | None:
    """The SHA-256 of what a gzip file holds; None of other files, damaged ones, and above 1 GiB."""
    digest, size = hashlib.sha256(), 0
    try:
        with gzip.open(path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
                if size > _LARGEST_CONTENT:
                    return None
    except (OSError, EOFError, zlib.error):
        return None
    return digest.hexdigest()


def verify_checksum(path: Path | str, expected: str, origin: str | None = None) -> None:
    """Raise `InputError` unless the file at `path` has the checksum `expected`.

    `expected` is a SHA-256 or MD5 in hexadecimal, distinguished by length, or the first digits of a
    SHA-256 (torch's file names carry eight). A whole SHA-256 may also be that of what a gzip file
    holds, which does not depend on how it was packed. `origin` names the file in the message.
    """
    expected = expected.lower()
    algorithm = "md5" if len(expected) == 32 else "sha256"
    found = checksum(path, algorithm)
    if not found.startswith(expected) and checksum_of_content(path) != expected:
        raise InputError(
            f"{origin or path}: {algorithm} is {found}, expected {expected}; "
            "the file is damaged or another one: give the right one, or correct the checksum"
        )
