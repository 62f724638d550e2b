"""The entry scripts, as the rules call them: files in, files out, invalid input in one line."""

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml
from analysis.fake_study import FakeRun, FakeStudy
from report.samples import AUDIT, PARITY, REFERENCE, TEMPLATES, data_statistics
from support import SCRIPTS, options
from twinbench.analysis import tables
from twinbench.config.reference import read_reference
from twinbench.errors import InputError

# Names that a careless reader of CSV would take for a number or for an empty cell.
RUNS = {"001": FakeRun(), "NA": FakeRun("tensorflow", weights="synthetic", noise=1)}


def run_entry(script: str, settings: list[str], **files) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPTS / script, *settings, *options(files)]
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

    shared = ["equivalence_margin=0.01", "language=en"]
    texts = ["study=fake", "title=1 | 2 <b>", "introduction=Está *bien*. <i>no</i>"]
    texts += ["archive_sha256=null", "official_archive=false"]
    figures = {name: files[name] for name in ("metrics", "comparisons", "figures")}
    page = folder / "report.html"
    step("evaluate_runs.py", output=files["metrics"], log=folder / "evaluate.log")
    step("compare_runs.py", shared[0], output=files["comparisons"])
    step("plot_figures.py", "dpi=50", *shared, reference=REFERENCE, **figures)
    step(
        "write_report.py",
        *[*shared, *texts],
        **files,
        reference=REFERENCE,
        template=TEMPLATES / "report.md.jinja",
        output=page,
        summary=folder / "summary.txt",
    )
    return folder / "report.md"


def test_the_report_has_its_texts_and_each_link_resolves(report):
    text = report.read_text(encoding="utf-8")
    assert text.startswith("# 1 | 2 <b>\n\nEstá *bien*.")
    links = re.findall(r"]\(([^)]+)\)", text)
    assert {"figures/accuracy.png", "parity.md", "settings.md"} <= set(links)
    assert all(not Path(link).is_absolute() and (report.parent / link).is_file() for link in links)
    assert "NA (synthetic weights)" in text
    assert "**NOT ACCOUNTED FOR**" in (report.parent / "parity.md").read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a page refers to, its ids, and whether its tags are balanced."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data"):
                self.references.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        if not self.tags or self.tags.pop() != tag:
            self.unbalanced.append(tag)


def test_the_page_stands_alone(report):
    text = (report.parent / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    inside = {f"#{name}" for name in page.ids}
    outside = [each for each in page.references if not each.startswith("data:")]
    assert set(outside) <= inside and len(set(page.ids)) == len(page.ids)
    assert not page.unbalanced and not page.tags
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", text)
    assert len(text) < 3_000_000


def test_markup_in_a_users_text_stays_text(report):
    text = (report.parent / "report.html").read_text(encoding="utf-8")
    assert "<h1>1 | 2 &lt;b&gt;</h1>" in text and "<em>bien</em>" in text
    assert "<i>no</i>" not in text and "&lt;i&gt;no&lt;/i&gt;" in text


def test_the_data_of_the_tables_lie_in_the_page(report):
    text = (report.parent / "report.html").read_text(encoding="utf-8")
    found = dict(
        re.findall(r'download="([^"]+)" href="data:text/csv;charset=utf-8;base64,([^"]*)"', text)
    )
    whole = base64.b64decode(found["metrics.csv"])
    assert whole == (report.parent / "metrics.csv").read_bytes()
    results = pd.read_csv(io.BytesIO(base64.b64decode(found["results.csv"])), dtype=str)
    metrics = pd.read_csv(report.parent / "metrics.csv")
    accuracies = results["test accuracy"].astype(float).tolist()
    assert accuracies == pytest.approx((100 * metrics["test_accuracy"]).tolist())


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
    **{"title": "", "note": "", "dataset": "cifar10", "epochs": 1, "test_images": 1},
    "runs": {"a": {"seconds_per_epoch": 1, "train_loss": 1, "train_accuracy": 1}},
}


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("title: [", ""),
        ("title: x", "dataset"),
        (yaml.safe_dump(REFERENCE_OF_A_RUN), "runs.a.test_accuracy"),
        (REFERENCE.read_text().replace("0.7093", "70.93"), "runs.pytorch-scratch.test_accuracy"),
        (REFERENCE.read_text().replace("333 ", "-333 "), "runs.pytorch-scratch.seconds_per_epoch"),
        (REFERENCE.read_text().replace("dataset: cifar10", "dataset: imagenet"), "dataset"),
        (REFERENCE.read_text().replace("train_loss", "loss"), "runs.pytorch-scratch.loss"),
    ],
)
def test_a_faulty_reference_is_named_in_one_line(tmp_path, content, where):
    path = tmp_path / "reference.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_reference(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value) and where in str(error.value)
