"""What the README says of the example reports stands in their files."""

import re

import pandas as pd
import pytest
from support import ROOT

README = " ".join((ROOT / "README.md").read_text().split())
EXAMPLE = ROOT / "docs" / "example"
DEFAULTS, CIFAR10 = EXAMPLE / "defaults", EXAMPLE / "cifar10"


@pytest.fixture(scope="module")
def accuracy() -> pd.Series:
    """Mean test accuracy of each run of the example on defaults, in per cent."""
    metrics = pd.read_csv(DEFAULTS / "metrics.csv")
    return 100 * metrics.groupby("run")["test_accuracy"].mean()


def test_the_gaps_between_the_frameworks_are_those_of_the_metrics(accuracy):
    native = accuracy["tensorflow-native"] - accuracy["pytorch-native"]
    harmonised = accuracy["pytorch-scratch"] - accuracy["tensorflow-scratch"]
    assert f"PyTorch is {native:.2f} points behind Keras" in README
    assert f"the two are {harmonised:.2f} points apart" in README
    assert f"the defaults make {native + harmonised:.2f} points" in README


def test_the_interval_of_what_defaults_make_is_that_of_the_report():
    low, high = re.search(
        r"the defaults make 5\.23 points \(([\d.]+) to ([\d.]+)\)", README
    ).groups()
    assert f"(-{high} to -{low})" in (DEFAULTS / "report.md").read_text()


def test_every_rung_of_the_example_holds_and_the_readme_tells_no_less():
    parity = pd.read_csv(DEFAULTS / "parity.csv").set_index("rung")
    assert parity["passed"].all()
    forward, gradients = re.search(
        r"forward passes agree to (\S+) and gradients to (\S+)\.", README
    ).groups()
    assert parity.loc["forward pass", "max_error"] <= float(forward)
    assert parity.loc["gradients", "max_error"] <= float(gradients)


def test_the_readmes_table_is_the_studys_metrics():
    metrics = pd.read_csv(CIFAR10 / "metrics.csv").set_index("run")
    rows = re.findall(
        r"\| `([\w-]+)` \| [^|]+ \| [^|]+ \| ([\d.]+) % \(([\d.]+) to ([\d.]+)\) \|", README
    )
    assert {run for run, *_ in rows} == set(metrics.index)
    columns = ["test_accuracy", "accuracy_low", "accuracy_high"]
    for run, *told in rows:
        assert told == [f"{100 * value:.2f}" for value in metrics.loc[run, columns]], run


def test_the_studys_histories_are_those_of_its_metrics():
    metrics = pd.read_csv(CIFAR10 / "metrics.csv").set_index("run")
    for run, row in metrics.iterrows():
        history = pd.read_csv(CIFAR10 / "histories" / f"{run}.csv").set_index("epoch")
        assert history.loc[row["chosen_epoch"], "validation_accuracy"] == row["validation_accuracy"]


@pytest.mark.parametrize("folder", [DEFAULTS, CIFAR10], ids=lambda folder: folder.name)
def test_the_examples_figures_are_there(folder):
    for link in re.findall(r"\]\((figures/[^)]+)\)", (folder / "report.md").read_text()):
        assert (folder / link).is_file(), link
