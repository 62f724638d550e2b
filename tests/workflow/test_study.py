"""The whole way, once, for real: every rule, four trainings, the report, and what a second run does."""

import json
import re

import pandas as pd
import pytest
from tiny import TINY

pytestmark = pytest.mark.slow

RUNS = ("pytorch-scratch", "pytorch-pretrained", "tensorflow-scratch", "tensorflow-pretrained")


def test_every_promised_file_is_there(finished):
    study = finished.folder / "results" / "tiny"
    for run in RUNS:
        folder = study / "runs" / run / "seed-1"
        model = "model.safetensors" if run.startswith("pytorch") else "model.keras"
        for name in ("history.csv", "predictions.parquet", "provenance.json", model, "train.log"):
            assert (folder / name).stat().st_size > 0, f"{run}: {name}"
        assert list((folder / "tensorboard").glob("events.out.tfevents.*"))
        assert not list(folder.glob(".checkpoint*"))
    for name in ("metrics.csv", "comparisons.csv", "report.md"):
        assert (study / name).stat().st_size > 0, name


def test_metrics_have_a_row_a_run_and_the_contracts_columns(finished):
    metrics = pd.read_csv(finished.folder / "results" / "tiny" / "metrics.csv")
    assert list(metrics["run"]) == sorted(RUNS)
    assert {"framework", "model", "weights", "seed", "test_accuracy", "macro_f1"} <= set(metrics)
    assert metrics["test_accuracy"].between(0, 1).all()


def test_the_history_has_the_contracts_columns(finished):
    folder = finished.folder / "results" / "tiny" / "runs" / "tensorflow-scratch" / "seed-1"
    history = pd.read_csv(folder / "history.csv")
    assert {
        *("epoch", "seconds", "images_per_second", "learning_rate", "train_loss"),
        *("train_accuracy", "validation_loss", "validation_accuracy"),
    } <= set(history)
    assert list(history["epoch"]) == [1]


def test_the_twins_do_the_same(finished):
    losses = [
        pd.read_csv(
            finished.folder / "results/tiny/runs" / f"{framework}-scratch/seed-1/history.csv"
        )["train_loss"].item()
        for framework in ("pytorch", "tensorflow")
    ]
    # The ladder holds them together in float32. This may be bfloat16, which has two to three digits.
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_every_rung_of_the_parity_ladder_holds(finished):
    rungs = pd.read_csv(finished.folder / "results/tiny/parity.csv")
    assert set(rungs["twin"]) == {"alexnet32", "alexnet-proxy", "vgg16-proxy"}
    assert rungs["passed"].all(), rungs[~rungs["passed"]]


def test_provenance_tells_of_the_proxy(finished):
    folder = finished.folder / "results" / "tiny" / "runs" / "pytorch-pretrained" / "seed-1"
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["weights"]["source"] == "proxy"
    assert len(provenance["weights"]["sha256"]) == 64
    assert provenance["versions"]["torch"]
    assert provenance["threads"] >= 1
    assert "proxy" in (finished.folder / "results" / "tiny" / "report.md").read_text()


def test_the_reports_images_are_there(finished):
    study = finished.folder / "results" / "tiny"
    links = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (study / "report.md").read_text())
    assert len(links) >= 4
    assert all((study / link).is_file() for link in links)


def test_the_networks_load_with_their_frameworks_alone(finished):
    import keras
    from safetensors.torch import load_file

    runs = finished.folder / "results" / "tiny" / "runs"
    network = keras.saving.load_model(runs / "tensorflow-scratch" / "seed-1" / "model.keras")
    assert network.output_shape == (None, 10)
    state = load_file(runs / "pytorch-scratch" / "seed-1" / "model.safetensors")
    assert state["dense1.weight"].shape == (4096, 4096)


def test_a_second_run_has_nothing_to_do(finished):
    result = finished.snakemake(overlay=TINY)
    assert result.returncode == 0
    assert "Nothing to be done" in result.stderr + result.stdout


def test_another_rate_of_one_run_trains_that_run_alone(finished):
    overlay = TINY | {"runs": TINY["runs"] | {"pytorch-scratch": {"learning_rate": 0.001}}}
    result = finished.snakemake("--dry-run", "--quiet", "rules", overlay=overlay)
    output = result.stderr + result.stdout
    assert re.search(r"train_pytorch +1\n", output), output
    assert "train_tensorflow" not in output
    assert "build_parquet" not in output


def test_snakemakes_own_report_builds(finished):
    result = finished.snakemake("--report", "report.html", overlay=TINY)
    assert result.returncode == 0, result.stderr[-3000:]
    page = (finished.folder / "report.html").read_text()
    assert "learning_curves.png" in page
