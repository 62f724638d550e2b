"""Paths, addresses and texts that a user gives reach the scripts as they are, whatever they hold."""

import hashlib
import json
import shlex
import shutil
import sys

import pytest
import stand_in
from helpers import with_python
from support import ROOT
from tiny import ARCHIVE
from twinbench.config.arguments import from_arguments

# What means something to a shell, to Snakemake's own formatting, to globbing or to argparse.
NAMES = (
    """a b'c"d$HOME;touch x;`touch x`$(touch x)&|>x<y#*?[z]!\\ü漢 """,
    "~two\nlines\t",
    "--help",
    "{input}",
)
# Snakemake takes braces in the path of an input for a wildcard.
PATHS = [name for name in NAMES if "{" not in name]
# Writes its arguments, then goes on as the stand-in for python.
RECORDER = f"""#!{sys.executable} -S
import json, os, sys
with open("arguments.jsonl", "a", encoding="utf-8") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
os.execv(sys.executable, [sys.executable, "-S", "{stand_in.__file__}", *sys.argv[1:]])
"""


def overlay(path: str, text: str) -> dict:
    return {
        "study": "hostile",
        "dataset": {
            "archive": f"{path}.tar.gz",
            "sha256": hashlib.sha256(ARCHIVE).hexdigest(),
        },
        "runs": {
            "pytorch-scratch": None,
            "pytorch-pretrained": {"weights": f"{path}.pth"},
            "tensorflow-pretrained": {"weights": f"{path}.h5"},
        },
        "report": {"reference": f"{path}.yaml", "title": text, "introduction": text},
    }


@pytest.fixture
def place(workplace):
    """A project whose jobs write down their arguments."""
    return with_python(workplace, RECORDER)


@pytest.mark.parametrize("name", PATHS, ids=ascii)
def test_a_study_with_hostile_names_runs(place, name):
    (place.folder / f"{name}.tar.gz").write_bytes(ARCHIVE)
    for suffix in ("pth", "h5"):
        (place.folder / f"{name}.{suffix}").write_text(suffix, encoding="utf-8")
    shutil.copy(ROOT / "config" / "reference.yaml", place.folder / f"{name}.yaml")
    before = set(place.folder.iterdir())
    result = place.snakemake("--printshellcmds", overlay=overlay(name, name))
    assert result.returncode == 0, result.stdout[-3000:]
    made = {path.name for path in set(place.folder.iterdir()) - before}
    assert made == {"results", ".snakemake", "overlay.yaml", "arguments.jsonl"}
    lines = (place.folder / "arguments.jsonl").read_text(encoding="utf-8").splitlines()
    calls = {json.loads(line)[0].rsplit("/", 1)[-1]: json.loads(line)[1:] for line in lines}

    # A path that begins with a dash is made absolute.
    given = f"{place.folder}/{name}" if name.startswith("-") else name
    report = calls["write_report.py"]
    assert report[report.index("--reference") + 1] == f"{given}.yaml"
    assert texts(report) == {"title": name, "introduction": name}
    assert f"--archive={name}.tar.gz" in calls["import_archive.py"]
    libraries = [
        call[call.index("--library") + 1]
        for call in map(json.loads, lines)
        if call[0].endswith("import_weights.py")
    ]
    assert sorted(libraries) == [f"{given}.h5", f"{given}.pth"]


@pytest.mark.parametrize("text", NAMES, ids=ascii)
def test_hostile_addresses_and_texts_are_whole_arguments(workplace, plan, text):
    address = f"http://host/{text}"
    changes = overlay("", text)
    changes["dataset"] = {"url": [address, "http://mirror/a.tar.gz"]}
    changes["runs"] = {"pytorch-pretrained": {"weights": "imagenet"}}
    changes["weights"] = {"imagenet": {"alexnet": {"url": address, "checksum": "0" * 8}}}
    del changes["report"]["reference"]
    status, output = plan(workplace, "--dry-run", "--printshellcmds", overlay=changes)
    assert status == 0, output
    words = [word for command in commands(output) for word in command]
    assert words.count(f"--url={address}") == 2  # the archive, and AlexNet's weights
    assert texts(words) == {"title": text, "introduction": text}


def test_nothing_in_a_command_is_left_to_the_shell(workplace, plan):
    """But `$(dirname ...)` in double quotes."""
    status, output = plan(workplace, "--dry-run", "--printshellcmds")
    assert status == 0, output
    found = commands(output)
    assert len(found) > 15
    for command in found:
        assert command[0] == "python"
        for word in command:
            text = word.replace("$(dirname results/", "")
            assert not set(text) & set(";`$&|<>"), command
    assert "$(" not in output.replace('"$(dirname ', "")


@pytest.mark.parametrize("key", ["report.reference", "runs.pytorch-pretrained.weights"])
def test_a_path_with_braces_is_refused_in_one_line(workplace, plan, key):
    for suffix in ("pth", "h5", "yaml"):
        (workplace.folder / f"{{a}}.{suffix}").touch()
    changes = overlay("{a}", "")
    del changes["dataset"]
    if "weights" in key:
        del changes["report"]["reference"]
    status, output = plan(workplace, "--dry-run", overlay=changes)
    assert status == 1
    assert f"config: {key}: '{{a}}." in output and "holds a brace" in output
    assert "Traceback" not in output


def texts(words: list[str]) -> dict:
    return from_arguments(word for word in words if word.startswith(("title=", "introduction=")))


def commands(output: str) -> list[list[str]]:
    """The words of each shell command that Snakemake prints, which may go over several lines."""
    texts = output.split("Shell command: ")[1:]
    return [words for words in map(_words, texts) if words != ["None"]]


def _words(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    for end in range(1, len(lines) + 1):
        try:
            return shlex.split("".join(lines[:end]))
        except ValueError:  # a quote is open
            continue
    raise AssertionError(f"unbalanced quotes: {text}")
