"""The numbers in the notebook are those of the example's files."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from support import ROOT

EXAMPLE = ROOT / "docs" / "example"
DEFAULT = EXAMPLE / "cifar10"
METRICS = pd.read_csv(DEFAULT / "metrics.csv").set_index("run")


def rows(page: Path) -> Iterator[dict[str, str]]:
    """The rows of a page's tables, cells by the heads of their columns."""
    head: list[str] = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            head = []
        elif not head:
            head = cells
        elif set(cells[0]) != {"-"}:
            yield dict(zip(head, cells, strict=False))


def test_the_accuracies_by_epoch_are_those_of_the_histories():
    compared = 0
    for row in rows(ROOT / "docs" / "notebook.md"):
        # A row of a run begins with its name, in backticks.
        _, *name = next(iter(row.values())).split("`")
        history = DEFAULT / "histories" / f"{name[0] if name else ''}.csv"
        if history.exists():
            accuracies = pd.read_csv(history).set_index("epoch")["validation_accuracy"]
            for head, cell in row.items():
                if head.startswith("epoch "):
                    assert cell == f"{100 * accuracies[int(head.removeprefix('epoch '))]:.2f} %"
                    compared += 1
    assert compared


def test_the_selected_epochs_accuracy_is_that_of_the_history():
    for run, row in METRICS.iterrows():
        history = pd.read_csv(DEFAULT / "histories" / f"{run}.csv")
        best = history["validation_accuracy"][history["validation_loss"].idxmin()]
        assert best == row["validation_accuracy"], run


@pytest.mark.parametrize("table", sorted(EXAMPLE.glob("*/parity.csv")), ids=lambda t: t.parent.name)
def test_every_parity_check_of_an_example_passed(table):
    assert pd.read_csv(table)["passed"].all()


@pytest.mark.parametrize("page", sorted(EXAMPLE.glob("*/report.md")), ids=lambda p: p.parent.name)
def test_an_examples_pictures_are_there(page):
    links = [part.split(")")[0] for part in page.read_text().split("](figures/")[1:]]
    assert links
    assert not [link for link in links if not (page.parent / "figures" / link).is_file()]
