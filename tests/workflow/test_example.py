"""The example studies of the documentation: their files agree with each other."""

from pathlib import Path

import pandas as pd
import pytest
from support import ROOT

EXAMPLE = ROOT / "docs" / "example"


def examples(file: str):
    found = sorted(EXAMPLE.glob(f"*/{file}"))
    return pytest.mark.parametrize("path", found, ids=[path.parent.name for path in found])


def history(metrics: Path, row: pd.Series) -> pd.DataFrame:
    folder = metrics.parent / "histories"
    one, several = (folder / f"{row['run']}{seed}.csv" for seed in ("", f"-seed-{row['seed']}"))
    return pd.read_csv(several if several.exists() else one)


@examples("metrics.csv")
def test_the_selected_epochs_accuracy_is_that_of_the_history(path):
    for _, row in pd.read_csv(path).iterrows():
        accuracies = history(path, row).set_index("epoch")["validation_accuracy"]
        assert accuracies[row["selected_epoch"]] == row["validation_accuracy"], row["run"]


@examples("parity.csv")
def test_every_parity_check_of_an_example_passed(path):
    assert pd.read_csv(path)["passed"].all()
