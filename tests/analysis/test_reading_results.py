"""Predictions in any order, and text in tables that stays text; see tests/bad_inputs too."""

import numpy as np
import pandas as pd
import pytest
from analysis.fake_study import FakeRun, FakeStudy, write_predictions
from pydantic import ValidationError
from twinbench.analysis import metrics, results, tables
from twinbench.analysis.reading import read_history, read_predictions
from twinbench.errors import InputError

RUNS = {"a": FakeRun(), "b": FakeRun(noise=1)}


def rewrite_predictions(fake: FakeStudy, change) -> str:
    path = fake.folder("b") / "predictions.parquet"
    found = read_predictions(path)
    write_predictions(path, *change(found.sample_ids, found.labels, found.logits.copy()))
    return str(path)


def test_the_order_of_the_prediction_rows_does_not_matter(tmp_path):
    fake = FakeStudy(tmp_path, RUNS)
    before = metrics.evaluate(fake.models)
    rewrite_predictions(fake, lambda *columns: [column[::-1] for column in columns])
    assert metrics.evaluate(fake.models).equals(before)


def test_a_history_has_all_columns(tmp_path):
    path = FakeStudy(tmp_path, RUNS).folder("a") / "history.csv"
    pd.read_csv(path).drop(columns="seconds").to_csv(path, index=False)
    with pytest.raises(InputError) as error:
        read_history(path, 8)
    assert f"{path}: column seconds is missing; delete it" in str(error.value)


@pytest.mark.parametrize("missing", [{"runs": {}}, {"seeds": []}])
def test_a_study_has_runs_and_seeds(tmp_path, missing):
    settings = FakeStudy(tmp_path, RUNS).settings.model_dump()
    with pytest.raises(ValidationError):
        results.StudySettings.model_validate(settings | missing)


@pytest.mark.parametrize("run", ["001", "NA", "null", "1e5", "True"])
def test_text_that_looks_like_something_else_stays_text(tmp_path, run):
    table = metrics.evaluate(FakeStudy(tmp_path, {run: FakeRun()}).models).assign(test_loss=np.nan)
    tables.write(table, tmp_path / "metrics.csv")
    found = tables.read(tmp_path / "metrics.csv", metrics.COLUMNS)
    pd.testing.assert_frame_equal(found, table, rtol=1e-12)
    assert found["run"].item() == run


@pytest.mark.parametrize("columns", [{"c": str}, {"b": int}])
def test_a_table_without_a_column_or_with_a_wrong_type_is_refused(tmp_path, columns):
    path = tmp_path / "table.csv"
    path.write_text("a,b\nx,1.5\n")
    with pytest.raises(InputError) as error:
        tables.read(path, columns)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
