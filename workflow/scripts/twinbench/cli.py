"""What every entry script shares: arguments, settings, the log, and one clear line for invalid input."""

import argparse
import errno
import fcntl
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from twinbench.config.arguments import from_arguments
from twinbench.config.base import Settings
from twinbench.errors import InputError

log = logging.getLogger("twinbench")

# What to do about errors of the file system.
_ADVICE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room, your quota is used up",
    errno.EFBIG: "make room, the file would grow beyond its limit",
    errno.EROFS: "write to a disk that is not read-only",
    errno.EACCES: "set the permissions",
    errno.EPERM: "set the permissions",
}
_NO_MEMORY = (
    "memory ran out: lower training.batch_size, run fewer jobs at once (--resources mem_mb=..., on a "
    "GPU training.jobs_per_gpu), or use a machine with more memory, then start again"
)


def parser(description: str | None, **options: type) -> argparse.ArgumentParser:
    """A parser with a required `--name` for each option, and `--log`, a file for the messages."""
    result = argparse.ArgumentParser(description=description)
    for name, kind in options.items():
        result.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
    result.add_argument("--log", type=Path, help="file that gets a copy of all messages")
    return result


def add_settings(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    """Let the parser take settings as `key=value`; `run` turns them into a `model`."""
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings, dotted keys")
    parser.set_defaults(settings_model=model)


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Call `main` with the parsed arguments and exit: 0, or 1 with the reason in one line.

    What the user can fix gets one line: an `InputError`, a full disk, a missing permission, too little
    memory. Any other exception is a bug, so its traceback goes to the log as well.
    """
    arguments = parser.parse_args()
    try:
        _start_logging(arguments.log)
        _read_settings(arguments)
        main(arguments)
    except InputError as error:
        log.error("error: %s", error)
        sys.exit(1)
    except Exception as error:
        if _out_of_memory(error):
            first_line = str(error).partition("\n")[0]
            log.error("error: %s (%s: %s)", _NO_MEMORY, type(error).__name__, first_line)
        elif isinstance(error, OSError) and error.errno in _ADVICE:
            log.error("error: %s; %s, then start again", error, _ADVICE[error.errno])
        else:
            log.exception("unexpected error, please report it with this log")
        sys.exit(1)


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: for Python, NumPy or Arrow, for torch on a GPU or TensorFlow, or for torch
    on a CPU, which has no class for that."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return (
        bool(names & {"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"})
        or "cannot allocate memory" in str(error).lower()
    )


def _read_settings(arguments: argparse.Namespace) -> None:
    model = getattr(arguments, "settings_model", None)
    if model is None:
        return
    try:
        arguments.settings = model.model_validate(from_arguments(arguments.settings))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"setting {key}: {first['msg']}") from None


class _LogFile(logging.FileHandler):
    """Empties the file, unless another process writes to it: a second start that is refused adds to its
    log. Where the file cannot be written, says so in one line, not in a traceback for each message."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="a", encoding="utf-8")
        assert self.stream is not None  # it is opened at once
        with suppress(OSError):  # of another process, or of a file system without locks
            fcntl.flock(self.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.stream.truncate(0)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        self.setLevel(logging.CRITICAL + 1)
        reason = sys.exc_info()[1]
        log.warning("%s: %s: messages go to standard error alone", self.baseFilename, reason)


def _start_logging(path: Path | None) -> None:
    """Send messages to standard error and, where `path` is given, to that file, line by line."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(path))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers
    )
    logging.captureWarnings(True)
