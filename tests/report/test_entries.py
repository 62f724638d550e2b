"""The entry scripts, as the rules call them: files in, files out, invalid input in one line."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from analysis.fake_study import FakeRun, FakeStudy
from report.samples import AUDIT, PARITY, REFERENCE, ROOT, TEMPLATE, data_statistics
from twinbench.analysis import tables
from twinbench.errors import InputError
from twinbench.report import inputs

# Names that a careless reader of CSV would take for a number or for an empty cell.
RUNS = {"001": FakeRun(), "NA": FakeRun("tensorflow", weights="synthetic", noise=1)}


def run_entry(script: str, settings: list[str], **options) -> subprocess.CompletedProcess:
    words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
    command = [sys.executable, ROOT / "workflow" / "scripts" / script, *settings, *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The report that the four entry scripts write of a study."""
    folder = tmp_path_factory.mktemp("study")
    fake = FakeStudy(folder, RUNS, images=200)
    names = ("metrics", "comparisons", "parity", "audit")
    files = {name: folder / f"{name}.csv" for name in names}
    tables.write(PARITY, files["parity"])
    tables.write(AUDIT, files["audit"])
    files |= {"statistics": folder / "statistics.json", "figures": folder / "figures"}
    files["statistics"].write_text(data_statistics().model_dump_json(), encoding="utf-8")

    def step(script, *settings, **options):
        arguments = [*fake.arguments, *settings]
        done = run_entry(script, arguments, directory=fake.directory, **options)
        assert done.returncode == 0, done.stderr

    margin = "equivalence_margin=0.01"
    texts = [margin, "study=fake", "title=1 | 2", "introduction=Está bien."]
    report, figures = folder / "report.md", {name: files[name] for name in ("metrics", "figures")}
    step("evaluate_runs.py", output=files["metrics"], log=folder / "evaluate.log")
    step("compare_runs.py", margin, output=files["comparisons"])
    step("plot_figures.py", "dpi=50", **figures)
    written = {"output": report, "summary": folder / "summary.txt"}
    step("write_report.py", *texts, **files, **written, reference=REFERENCE, template=TEMPLATE)
    return report


def test_the_report_has_its_texts_and_each_figure_link_resolves(report):
    text = report.read_text(encoding="utf-8")
    assert text.startswith("# 1 | 2\n\nEstá bien.\n")
    links = re.findall(r"!\[[^]]+]\(([^)]+)\)", text)
    assert len(links) == len(inputs.FIGURES)
    assert all(not Path(link).is_absolute() and (report.parent / link).is_file() for link in links)
    assert "NA (synthetic weights)" in text and "**NOT ACCOUNTED FOR**" in text


def test_metrics_have_the_columns_of_the_contract(report):
    found = set(pd.read_csv(report.parent / "metrics.csv").columns)
    assert found > {"run", "framework", "model", "weights", "seed", "test_accuracy", "test_loss"}
    assert found > {"macro_f1", "seconds_per_epoch", "total_seconds", "selected_epoch"}


def test_a_missing_run_is_named_in_one_line(tmp_path):
    settings = [
        "runs.a.framework=pytorch",
        "runs.a.model=vgg16",
        "runs.a.weights=none",
        "seeds=[0]",
    ]
    done = run_entry("evaluate_runs.py", settings, directory=tmp_path, output=tmp_path / "x.csv")
    assert done.returncode == 1 and not (tmp_path / "x.csv").exists()
    assert len(done.stderr.strip().splitlines()) == 1 and "a/seed-0/provenance.json" in done.stderr


REFERENCE_OF_A_RUN = {
    **{"title": "", "note": "", "dataset": "cifar10", "epochs": 1},
    "runs": {"a": {"seconds_per_epoch": 1, "train_loss": 1, "train_accuracy": 1}},
}


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("title: [", ""),
        ("title: x", "note"),
        (yaml.safe_dump(REFERENCE_OF_A_RUN), "runs.a.test_accuracy"),
    ],
)
def test_a_faulty_reference_is_named_in_one_line(tmp_path, content, where):
    path = tmp_path / "reference.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        inputs.read_reference(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value) and where in str(error.value)


def test_a_missing_figure_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        inputs.figure_links(tmp_path, tmp_path)
    assert "accuracy.png" in str(error.value)
