"""A whole study, once, for real: every rule, four trainings, the report, and what a second run does."""

import json
import re

import pandas as pd
import pytest
from test_environments import BY_NAME
from tiny import RUNS, TINY
from twinbench.sources import imported_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(finished):
    return finished.results / "tiny"


@pytest.mark.parametrize("run", RUNS)
def test_every_promised_file_of_a_run_is_there(study, run):
    folder = study / "runs" / run / "seed-1"
    model = "model.safetensors" if run.startswith("pytorch") else "model.keras"
    names = ("history.csv", "predictions.parquet", "provenance.json", "train.log", model)
    for name in (*names, "benchmark.jsonl"):
        assert (folder / name).stat().st_size > 0, name
    assert list((folder / "tensorboard").glob("events.out.tfevents.*"))
    assert not list(folder.glob(".*"))


def test_every_promised_file_of_the_study_is_there(finished, study):
    for name in ("metrics.csv", "comparisons.csv", "parity.csv", "parity-audit.csv"):
        assert (study / name).stat().st_size > 0, name
    for name in ("report.html", "report.md", "parity.md", "settings.md"):
        assert (study / name).stat().st_size > 0, name
    (data,) = finished.results.glob("data/synthetic-*")
    assert {path.name for path in data.iterdir() if path.is_file()} == {
        *("train.parquet", "test.parquet", "statistics.json"),
        *("train.safetensors", "validation.safetensors", "test.safetensors"),
    }


def test_every_parity_check_passes(study):
    parity = pd.read_csv(study / "parity.csv")
    assert list(parity)[:4] == ["check", "max_error", "tolerance", "passed"]
    assert set(parity["case"]) == {"alexnet32", "alexnet-synthetic", "vgg16-synthetic"}
    assert parity["passed"].all(), parity[~parity["passed"]]


def test_provenance_and_report_name_synthetic_weights(study):
    path = study / "runs" / "pytorch-pretrained" / "seed-1" / "provenance.json"
    provenance = json.loads(path.read_text())
    assert provenance["weights"]["source"] == "synthetic"
    assert len(provenance["weights"]["sha256"]) == 64
    assert provenance["versions"]["torch"]
    assert "synthetic" in (study / "report.md").read_text()


def test_the_reports_pictures_are_there(study):
    links = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (study / "report.md").read_text())
    assert {"figures/contrasts.png", "figures/accuracy.png", "figures/pictures.png"} <= set(links)
    assert all((study / link).is_file() for link in links)


def test_the_models_load_with_their_frameworks_alone(study):
    import keras
    from safetensors.torch import load_file

    network = keras.saving.load_model(study / "runs/tensorflow-scratch/seed-1/model.keras")
    assert network.output_shape == (None, 10)
    state = load_file(study / "runs/pytorch-scratch/seed-1/model.safetensors")
    assert state["dense1.weight"].shape[0] == 32


def test_synthetic_weights_are_files_of_their_libraries(finished):
    import h5py
    import torch

    (alexnet,) = finished.results.glob("weights/library/alexnet-synthetic-*.pth")
    assert "features.0.weight" in torch.load(alexnet, weights_only=True)
    (vgg16,) = finished.results.glob("weights/library/vgg16-synthetic-*.h5")
    with h5py.File(vgg16) as file:
        assert len(file)


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_a_second_run_has_nothing_to_do(finished, plan, snakefile):
    status, output = plan(finished, "--snakefile", snakefile, overlay=TINY)
    assert status == 0
    assert "Nothing to be done" in output


def test_snakemakes_own_report_builds(finished):
    result = finished.snakemake("--report", "page.html", overlay=TINY)
    assert result.returncode == 0, result.stdout[-3000:]
    page = (finished.folder / "page.html").read_text()
    assert "report.html" in page and "accuracy.png" in page


def test_what_a_job_imports_is_among_its_tracked_files(finished):
    """Imports by name at run time too."""
    scripts = finished.folder / "workflow" / "scripts"
    seen = list(finished.folder.glob("imports/*.json"))
    assert len(seen) >= 18
    for path in seen:
        script, files = json.loads(path.read_text())
        name = script.removesuffix(".py")
        backends = {file.split("/")[-2] for file in files if re.search(r"/backends/\w+/", file)}
        modules = [f"twinbench.backends.{b}.{m}" for b in backends for m in BY_NAME.get(name, [])]
        tracked = {str(file) for file in imported_files(scripts / f"{name}.py", *modules)}
        assert set(files) <= tracked, path.name
