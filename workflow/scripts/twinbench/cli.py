"""What every entry script shares: arguments, settings, the log, and one clear line for invalid input."""

import argparse
import errno
import fcntl
import logging
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from twinbench.config.arguments import from_arguments
from twinbench.config.base import Settings
from twinbench.errors import InputError, missing_library

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
# Libraries that warn of what is no fault: fonts being cached, a function being traced again.
_CHATTY = ("matplotlib.font_manager", "tensorflow")
_MEMORY_ERRORS = {"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"}
_MEMORY_TEXT = re.compile("cannot allocate memory|out of memory|alloc_failed", re.I)
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


def add_name(parser: argparse.ArgumentParser, name: Callable[[argparse.Namespace], str]) -> None:
    """Let lines on the console begin with a name made of the arguments, not with the script's."""
    parser.set_defaults(job_name=name)


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Call `main` with the parsed arguments and exit: 0, or 1 with the reason in one line.

    What the user can fix gets one line: an `InputError`, a full disk, a missing permission or library,
    too little memory. Any other exception is a bug, so its traceback goes to the log as well.
    """
    arguments = parser.parse_args()
    try:
        console = _start_logging(arguments.log)
        _read_settings(arguments)
        if "job_name" in arguments:
            console.setFormatter(_formatter(arguments.job_name(arguments)))
        main(arguments)
    except InputError as error:
        log.error("error: %s", _in_one_line(str(error)))
        sys.exit(1)
    except Exception as error:
        if missing := missing_library(error):
            log.error("%s", missing)
        elif _out_of_memory(error):
            first_line = str(error).partition("\n")[0]
            log.error("error: %s (%s: %s)", _NO_MEMORY, type(error).__name__, first_line)
        elif advice := _ADVICE.get(_system_error(error)):
            log.error("error: %s; %s, then start again", error, advice)
        else:
            log.exception("unexpected error, please report it with this log")
        sys.exit(1)
    except KeyboardInterrupt:
        log.error("interrupted")
        sys.exit(130)  # 128 + SIGINT, as a shell reports it


def _system_error(error: Exception) -> int:
    """The number of a system error, 0 if it is none; libraries in Rust name it in their text alone."""
    named = re.search(r"\(os error (\d+)\)", str(error))
    return int(named[1]) if named else getattr(error, "errno", None) or 0


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, in this error or in one that it came from.

    Python, NumPy, Arrow, TensorFlow and torch have classes for that, but torch's on a CPU, CUDA's own
    and cuBLAS' say so in their text alone.
    """
    while error is not None:
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & _MEMORY_ERRORS or _MEMORY_TEXT.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _in_one_line(text: str) -> str:
    """The text with escapes for what a terminal would obey, or cannot show: names may hold anything."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
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


def _start_logging(path: Path | None) -> logging.Handler:
    """Send messages to standard error and, where `path` is given, with more details to that file.

    Returns the handler for standard error, where several jobs meet: its lines begin with the job's name.
    """
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.INFO)
    console.setFormatter(_formatter(Path(sys.argv[0]).stem))
    handlers: list[logging.Handler] = [console]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(path))
        handlers[-1].setFormatter(_formatter())
    logging.basicConfig(level=logging.WARNING, handlers=handlers)
    logging.captureWarnings(True)
    log.setLevel(logging.DEBUG)
    for library in _CHATTY:
        logging.getLogger(library).setLevel(logging.ERROR)
    return console


def _formatter(name: str = "") -> logging.Formatter:
    prefix = f"{name}: " if name else ""
    return logging.Formatter(f"%(asctime)s {prefix.replace('%', '%%')}%(message)s", "%H:%M:%S")
