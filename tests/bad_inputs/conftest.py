"""Bad input given to the entry scripts as the rules give it, and what holds whenever one refuses it."""

import logging
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import SCRIPTS
from twinbench.errors import InputError

LIMIT = 4 << 30  # bytes of address space: frameworks alone map more than two
SECONDS = 60
BEFORE = r"(\d\d:\d\d:\d\d )?([\w, -]+: )?"  # a line's time and the job's name


class Refusal:
    """Calls entry scripts that are to refuse their input in one line, with nothing before it.

    `folder` holds everything: inputs, outputs, temporary files. Nothing in it may change.
    """

    def __init__(self, folder: Path, run) -> None:
        self.folder = folder
        self._run = run

    def __call__(self, expected: str, script: str, *arguments, outputs=(), **options) -> None:
        """`expected` is the line: literally, but that `...` stands for anything."""
        for name in outputs:
            (self.folder / name).write_text("of an earlier start")
        before = contents(self.folder)
        status, output = self._run(script, list(map(str, arguments)), **options)
        assert output.count("\n") == 1, output
        assert re.fullmatch(f"{BEFORE}error: {pattern(expected)}", output.rstrip("\n")), output
        assert status == 1
        assert contents(self.folder) == before
        if "--log" in arguments:
            log = Path(arguments[arguments.index("--log") + 1])
            # On the console the job's name stands before it.
            said = log.read_text(encoding="utf-8").partition("error: ")
            assert said[2] == output.partition("error: ")[2]
            log.unlink()


def pattern(expected: str) -> str:
    """A regular expression of a line, in which `...` stands for anything."""
    return re.escape(expected).replace(re.escape("..."), ".*")


def contents(folder: Path) -> dict[str, tuple]:
    """What lies below a folder: each file with its bytes and its date."""
    return {
        str(path): path.is_file() and (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.suffix != ".log"
    }


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory, where temporary files go as well."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refuse(folder, run_script, capfd) -> Refusal:
    """Refusals in this process."""

    def run(script: str, arguments: list[str]) -> tuple[int, str]:
        capfd.readouterr()
        with _own_logging():
            status = run_script(script, arguments)
        return status, "".join(capfd.readouterr())

    return Refusal(folder, run)


@pytest.fixture
def refuse_each(folder, capfd):
    """Gives a reader one content of a file after the other, each of which it is to refuse as expected,
    and to say nothing else. What fails is named by its key."""

    def check(contents: Mapping[str, bytes], read: Callable, name: str, expected: str) -> None:
        path = folder / name
        line = pattern(expected.format(file=path))
        said = {}
        for key, content in contents.items():
            path.write_bytes(content)
            said[key] = _refusal(read, path)
        assert said
        assert {key: text for key, text in said.items() if not re.fullmatch(line, text)} == {}
        assert "".join(capfd.readouterr()) == ""

    return check


def _refusal(read: Callable, path: Path) -> str:
    try:
        read(path)
    except InputError as error:
        return str(error)
    except Exception as error:
        return f"no refusal, but {error!r}"
    return "no refusal"


@contextmanager
def _own_logging():
    """Within the block logging is as in a process that begins."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.root.handlers.clear()
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


@pytest.fixture
def refuse_within_limits(folder) -> Refusal:
    """Refusals in a process of its own that cannot take much memory or time."""

    def run(script: str, arguments: list[str], memory=LIMIT, **variables) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, SCRIPTS / script, *arguments],
            env=os.environ | {"TMPDIR": str(folder / "temporary")} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        )
        return done.returncode, done.stdout

    return Refusal(folder, run)
