"""What every entry file shares: arguments, the log, and one clear line for a fault of the input."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from twinbench.errors import InputError

log = logging.getLogger("twinbench")


def parser(description: str | None, **options: type) -> argparse.ArgumentParser:
    """A parser with a required `--name` for each option, and `--log`, a file for the messages."""
    result = argparse.ArgumentParser(description=description)
    for name, kind in options.items():
        result.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
    result.add_argument("--log", type=Path, help="file that gets a copy of all messages")
    return result


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Call `main` with the parsed arguments and exit: 0, or 1 with the reason in one line.

    Only an `InputError` is told in one line; any other exception is a fault of the program, so its
    traceback goes to the log as well.
    """
    arguments = parser.parse_args()
    _start_logging(arguments.log)
    try:
        main(arguments)
    except InputError as error:
        log.error("error: %s", error)
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
