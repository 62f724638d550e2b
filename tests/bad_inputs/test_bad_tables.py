"""What the last steps read beside the runs: tables, statistics, reference figures, measurements."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from analysis.fake_study import FakeRun, FakeStudy
from bad_inputs import boundaries
from bad_inputs.writing import content
from PIL import Image
from report.samples import AUDIT, PARITY, REFERENCE, TEMPLATES, data_statistics
from support import options
from twinbench import tensor_files
from twinbench.analysis import comparisons, metrics, tables
from twinbench.parity import comparing

RUNS = {"pytorch-scratch": FakeRun(), "tensorflow-scratch": FakeRun("tensorflow", noise=1)}
ANEW = "delete it and start again: it will be recreated"
REFUSED = f"{{file}}: ...; {ANEW}"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A folder with all that the report is made of. Tests copy it."""
    folder = tmp_path_factory.mktemp("study")
    fake = FakeStudy(folder, RUNS, images=20)
    tables.write(metrics.evaluate(fake.models), folder / "metrics.csv")
    comparisons.write(comparisons.compare(fake.models, 0.01), folder / "comparisons.csv")
    tables.write(PARITY, folder / "parity.csv")
    tables.write(AUDIT, folder / "audit.csv")
    (folder / "statistics.json").write_text(data_statistics().model_dump_json())
    shutil.copy(REFERENCE, folder / "reference.yaml")
    (folder / "figures").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "figures" / "accuracy.png")
    return folder


def write_report(refuse, study: Path, folder: Path, name: str, change, expected: str) -> None:
    shutil.copytree(study, folder, dirs_exist_ok=True)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(change(whole) if callable(change) else change)
    files = {each: f"{each}.csv" for each in ("metrics", "comparisons", "parity", "audit")}
    files |= {"statistics": "statistics.json", "reference": "reference.yaml"}
    files |= {
        "figures": "figures",
        "template": TEMPLATES / "report.md.jinja",
        "directory": "runs",
        "output": "report.html",
        "summary": "summary.txt",
    }
    texts = ["equivalence_margin=0.01", "study=fake", "title=a", "introduction=b"]
    texts += ["language=en", "archive_sha256=null", "official_archive=false"]
    settings = FakeStudy(folder / "again", RUNS, images=1).arguments
    shutil.rmtree(folder / "again")
    line = expected.format(file=name)
    refuse(
        line,
        "write_report.py",
        *settings,
        *texts,
        *options(files),
        outputs=["report.html", "report.md", "summary.txt"],
    )


def replaced(old: str, new: str):
    def change(whole: bytes) -> bytes:
        assert old.encode() in whole
        return whole.replace(old.encode(), new.encode(), 1)

    return change


def row(number: int, text: str):
    def change(whole: bytes) -> bytes:
        rows = whole.decode().splitlines(keepends=True)
        rows[number] = text
        return "".join(rows).encode()

    return change


# name: the file, what it is instead, and what is said of it
OTHERS = {
    "metrics: empty": ("metrics.csv", b"", f"{{file}}: no rows; {ANEW}"),
    "metrics: no UTF-8": ("metrics.csv", b"\xff\n", REFUSED),
    "metrics: zeros": ("metrics.csv", bytes(500), REFUSED),
    "metrics: a column is missing": (
        "metrics.csv",
        replaced("macro_f1", "f1"),
        f"{{file}}: column macro_f1 is missing; {ANEW}",
    ),
    "metrics: text for a number": ("metrics.csv", replaced(",8,", ",many,"), REFUSED),
    "metrics: a run is missing": (
        "metrics.csv",
        row(2, ""),
        f"{{file}}: it does not have each run and seed once; {ANEW}",
    ),
    "metrics: a run twice": (
        "metrics.csv",
        lambda whole: whole + whole.splitlines(keepends=True)[1],
        f"{{file}}: it does not have each run and seed once; {ANEW}",
    ),
    "comparisons: empty": ("comparisons.csv", b"", f"{{file}}: no rows; {ANEW}"),
    "comparisons: a pair is missing": (
        "comparisons.csv",
        row(1, ""),
        f"{{file}}: it does not have each pair of runs once; {ANEW}",
    ),
    "figure: empty": (
        "figures/accuracy.png",
        b"",
        "{file}: not a PNG; delete figures and start again: it will be recreated",
    ),
    "comparisons: another table": ("comparisons.csv", b"a,b\n1,2\n", REFUSED),
    "parity: empty": ("parity.csv", b"", f"{{file}}: no rows; {ANEW}"),
    "parity: neither true nor false": ("parity.csv", replaced("True", "perhaps"), REFUSED),
    "audit: a cell too few": (
        "audit.csv",
        row(1, "loss\n"),
        f"{{file}}: row 1 has 1 cells, but the header 8; {ANEW}",
    ),
    "statistics: empty": ("statistics.json", b"", "{file}: ..."),
    "statistics: no JSON": ("statistics.json", b"{]", "{file}: ..."),
    "statistics: nested deeply": (
        "statistics.json",
        b"[" * 100_000,
        "{file}: nested too deeply; ...",
    ),
    "statistics: a key is missing": (
        "statistics.json",
        replaced('"seed"', '"seeds"'),
        "{file}: seed: ...",
    ),
    "statistics: text for a number": (
        "statistics.json",
        replaced('"seed":0', '"seed":"none"'),
        "{file}: seed: ...",
    ),
    "reference: empty": ("reference.yaml", b"", "{file}: content: ...; see config/reference.yaml"),
    "reference: no YAML": (
        "reference.yaml",
        b"title: [",
        "{file}: not readable YAML (...); see config/reference.yaml",
    ),
    "reference: two lines of rubbish": (
        "reference.yaml",
        b"title: a\n\tb: c\n",
        "{file}: not readable YAML (...); see config/reference.yaml",
    ),
    "reference: no UTF-8": ("reference.yaml", b"\xff", "{file}: ...; see config/reference.yaml"),
    "reference: no such date": (
        "reference.yaml",
        b"title: 2026-99-99\n",
        "{file}: ...; see config/reference.yaml",
    ),
    "reference: code": (
        "reference.yaml",
        b"title: !!python/object/apply:os.system ['touch executed']\n",
        "{file}: not readable YAML (...); see config/reference.yaml",
    ),
    "reference: nested deeply": (
        "reference.yaml",
        b"a: " + b"[" * 2000,
        "{file}: nested too deeply; see config/reference.yaml",
    ),
    "reference: a key is missing": (
        "reference.yaml",
        replaced("epochs:", "epoch:"),
        "{file}: epochs: ...; see config/reference.yaml",
    ),
    "reference: text for a number": (
        "reference.yaml",
        replaced("test_accuracy: 0.7093", "test_accuracy: good"),
        "{file}: runs.pytorch-scratch.test_accuracy: ...; see config/reference.yaml",
    ),
    "reference: no number": (
        "reference.yaml",
        replaced("test_accuracy: 0.7093", "test_accuracy: .nan"),
        "{file}: runs.pytorch-scratch.test_accuracy: ...; see config/reference.yaml",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_is_refused(refuse, study, folder, name):
    write_report(refuse, study, folder, *OTHERS[name])


@pytest.mark.parametrize("name", ["metrics", "comparisons", "parity", "audit"])
def test_a_table_that_ends_within_a_row_is_refused(refuse_each, study, name):
    starts = boundaries.cut((study / f"{name}.csv").read_bytes(), boundaries.of_csv)
    # At the end of a row it is a table, of fewer rows.
    within = {where: start for where, start in starts.items() if not start.endswith(b"\n")}
    refuse_each(within, tables.read, "table.csv", REFUSED)


# --- Parity measurements -------------------------------------------------------------------------


def measured(**facts) -> bytes:
    whole = {"framework": "tensorflow", "settings": {"case": {"loss": ["mean", "Mean"]}}}
    return content(tensor_files.write, {"case:loss": np.ones(3)}, whole | facts)


NO_MEASUREMENT = f"{{file}}: not the parity measurement of a framework; {ANEW}"
MEASUREMENTS = {
    "missing": (None, "{file}: no such file; start again to make it"),
    "empty": (b"", REFUSED),
    "a page": (b"<html>not found</html>", REFUSED),
    "weights": (content(tensor_files.write, {"a": np.ones(3)}, {}), NO_MEASUREMENT),
    "no framework": (measured(framework=None), NO_MEASUREMENT),
    "settings in a list": (measured(settings=[]), NO_MEASUREMENT),
    "settings of text": (measured(settings={"case": "loss"}), NO_MEASUREMENT),
    "half a setting": (measured(settings={"case": {"loss": ["mean"]}}), NO_MEASUREMENT),
    "other cases": (
        measured(settings={"other": {}}),
        "parity: pytorch measured case, tensorflow other; delete parity/pytorch.safetensors and "
        "parity/tensorflow.safetensors of the study and start again",
    ),
}


def check(refuse, folder: Path, damaged: bytes | None, expected: str) -> None:
    (folder / "pytorch.safetensors").write_bytes(measured(framework="pytorch"))
    if damaged is not None:
        (folder / "tensorflow.safetensors").write_bytes(damaged)
    words = ["--measurements", "pytorch.safetensors", "tensorflow.safetensors"]
    words += ["--output", "parity.csv", "--audit", "audit.csv"]
    line = expected.format(file="tensorflow.safetensors")
    refuse(line, "check_parity.py", *words, outputs=["parity.csv", "audit.csv"])


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_another_measurement_is_refused(refuse, folder, name):
    check(refuse, folder, *MEASUREMENTS[name])


def test_a_measurement_that_ends_early_is_refused(refuse_each):
    starts = boundaries.cut(measured(), boundaries.of_safetensors)
    refuse_each(starts, comparing.read, "tensorflow.safetensors", REFUSED)
