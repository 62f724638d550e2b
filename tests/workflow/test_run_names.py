"""Runs whose names look like something else to YAML, JSON or pandas, from config to report."""

import re
import subprocess

import pytest
import yaml
from analysis.fake_study import FakeRun, FakeStudy
from report.samples import AUDIT, PARITY, data_statistics
from support import ROOT
from twinbench.analysis import comparisons, metrics, tables
from twinbench.config.study import Study

NAMES = ("NA", "null", "001", "1e5", "nan", "None", "True", "no", "0x10", "1_0", "inf")
ANALYSIS = ("evaluate_runs", "compare_runs", "plot_figures", "write_report")
SEED = 1


@pytest.fixture
def analysed(workplace, plan):
    """A study with such runs, analysed by the very commands that Snakemake prints; its output."""
    run = {"framework": "pytorch", "model": "alexnet32", "weights": "none"}
    own = dict.fromkeys(NAMES, run)
    own[NAMES[0]] = run | {"framework": "tensorflow"}
    shipped = (
        "pytorch-scratch",
        "pytorch-pretrained",
        "tensorflow-scratch",
        "tensorflow-pretrained",
    )
    overlay = {
        "study": "odd",
        "dataset": {"source": "synthetic"},
        "runs": dict.fromkeys(shipped) | own,
        "report": {"figures": {"dpi": 50}, "pictures": False},
    }
    status, output = plan(workplace, "--dry-run", "--printshellcmds", overlay=overlay)
    assert status == 0, output
    study = workplace.results / "odd"
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    asked = Study(config | {"runs": overlay["runs"]})
    fakes = {
        name: FakeRun(
            own[name]["framework"],
            own[name]["model"],
            noise=i,
            settings=asked.training(name).model_dump(),
        )
        for i, name in enumerate(NAMES)
    }
    FakeStudy(study, fakes, seeds=[SEED], images=100)
    (study / "figures").mkdir()
    tables.write(PARITY, study / "parity.csv")
    tables.write(AUDIT, study / "parity-audit.csv")
    (statistics,) = set(
        re.findall(r"--statistics (\S+/statistics\.json)", output.split("write_report.py")[-1])
    )
    (workplace.folder / statistics).parent.mkdir(parents=True)
    (workplace.folder / statistics).write_text(
        data_statistics().model_dump_json(), encoding="utf-8"
    )
    for script in ANALYSIS:
        (command,) = re.findall(rf"Shell command: (python \S+/{script}\.py .*)", output)
        done = subprocess.run(
            command,
            shell=True,
            cwd=workplace.folder,
            env=workplace.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return study, output


def test_every_table_and_the_report_keep_the_names(analysed):
    study, output = analysed
    assert set(re.findall(r"Training (\S+), seed 1", output)) == set(NAMES)
    assert set(tables.read(study / "metrics.csv", metrics.COLUMNS)["run"]) == set(NAMES)
    pairs = comparisons.read(study / "comparisons.csv", NAMES)
    assert {name for pair in pairs for name in (pair.run_a, pair.run_b)} == set(NAMES)
    report = (study / "report.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert re.search(rf"(?m)^\| {re.escape(name)}\b", report), name


def test_no_table_is_read_but_by_the_projects_own_readers():
    """pandas takes NA for an empty cell and 001 for 1 unless every column's type is given."""
    readers = {"analysis/tables.py", "analysis/reading.py"}
    for folder in ("workflow", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if re.search(r"read_csv\(|read_table\(|csv\.(DictR|r)eader\(|json_normalize\(", text):
                assert any(str(path).endswith(name) for name in readers), path
                calls = re.findall(r"read_csv\(((?:[^()]|\([^()]*\))*)\)", text)
                assert all("dtype=" in call for call in calls), path
