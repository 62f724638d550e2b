"""What every entry file shares: arguments, the log, and one clear line for a fault of the input."""

import argparse
import errno
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from twinbench.errors import InputError

log = logging.getLogger("twinbench")

# What to do about faults of the file system.
_ADVICE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room, your quota is used up",
    errno.EFBIG: "make room, the file would grow beyond its limit",
    errno.EROFS: "write to a disk that is not read-only",
    errno.EACCES: "set the permissions",
    errno.EPERM: "set the permissions",
}


def parser(description: str | None, **options: type) -> argparse.ArgumentParser:
    """A parser with a required `--name` for each option, and `--log`, a file for the messages."""
    result = argparse.ArgumentParser(description=description)
    for name, kind in options.items():
        result.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
    result.add_argument("--log", type=Path, help="file that gets a copy of all messages")
    return result


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Call `main` with the parsed arguments and exit: 0, or 1 with the reason in one line.

    What the user can mend is told in one line: an `InputError`, a full disk, a missing permission. Any
    other exception is a fault of the program, so its traceback goes to the log as well.
    """
    arguments = parser.parse_args()
    try:
        _start_logging(arguments.log)
        main(arguments)
    except InputError as error:
        log.error("error: %s", error)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _ADVICE:
            log.exception("unexpected error, please report it with this log")
        else:
            log.error("error: %s; %s, then start again", error, _ADVICE[error.errno])
        sys.exit(1)
    except Exception:
        log.exception("unexpected error, please report it with this log")
        sys.exit(1)


def _start_logging(path: Path | None) -> None:
    """Send messages to standard error and, where `path` is given, to that file, line by line."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers
    )
    logging.captureWarnings(True)
