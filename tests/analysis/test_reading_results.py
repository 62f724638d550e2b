"""Faulty files are named in one line with what is wrong; text in tables stays text."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from analysis.fake_study import FakeRun, FakeStudy, write_predictions
from pydantic import ValidationError
from support import SCRIPTS
from twinbench.analysis import metrics, results, tables
from twinbench.analysis.reading import read_history, read_predictions
from twinbench.errors import InputError

RUNS = {"a": FakeRun(), "b": FakeRun(noise=1)}


def refused(fake: FakeStudy) -> str:
    with pytest.raises(InputError) as error:
        metrics.evaluate(fake.models)
    assert "\n" not in str(error.value)
    return str(error.value)


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


def test_a_history_may_lack_phases_and_image_sizes_but_nothing_else(tmp_path):
    path = FakeStudy(tmp_path, RUNS).folder("a") / "history.csv"
    history = pd.read_csv(path)
    history.drop(columns="phase").to_csv(path, index=False)
    assert "phase" not in read_history(path) and len(read_history(path)) == len(history)
    history.drop(columns="seconds").to_csv(path, index=False)
    with pytest.raises(InputError) as error:
        read_history(path)
    assert f"{path}: column seconds is missing; train this run again" in str(error.value)


def set_nan(ids, labels, logits):
    logits[3, 2] = np.nan
    return ids, labels, logits


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (set_nan, "sample 3"),
        (lambda ids, labels, logits: (ids + 1, labels, logits), "a/seed-0"),
        (lambda ids, labels, logits: (ids[:0], labels[:0], logits[:0]), ""),
        (lambda ids, labels, logits: (ids, (labels + 1) % 10, logits), "a/seed-0"),
        (lambda ids, labels, logits: (np.maximum(ids, 1), labels, logits), "sample_id 1 occurs 2"),
        (lambda ids, labels, logits: (ids, labels, [*logits[:-1], [1]]), "row 999 has 1"),
        (lambda ids, labels, logits: (ids, labels + (ids == 9), logits), "sample 9 has label 10"),
    ],
)
def test_faulty_predictions_are_refused(tmp_path, damage, where):
    fake = FakeStudy(tmp_path, RUNS)
    path = rewrite_predictions(fake, damage)
    message = refused(fake)
    assert path in message and where in message


@pytest.mark.parametrize("position", [0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
def test_flipped_bits_of_the_predictions_are_refused(tmp_path, position):
    fake = FakeStudy(tmp_path, RUNS)
    path = fake.folder("b") / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    script, output = SCRIPTS / "evaluate_runs.py", tmp_path / "metrics.csv"
    files = ("--directory", fake.directory, "--output", output)
    command = [sys.executable, script, *fake.arguments, *files]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"{path}: " in line and "train this run again" in line
    assert not output.exists()


@pytest.mark.parametrize("name", ["predictions.parquet", "history.csv", "provenance.json"])
@pytest.mark.parametrize("content", [None, b"", b"{]", b"[]", b"\xff"])
def test_a_missing_or_broken_file_is_named(tmp_path, name, content):
    fake = FakeStudy(tmp_path, RUNS)
    path = fake.folder("a") / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert str(path) in refused(fake)


def test_a_wrong_value_of_the_provenance_is_named_by_its_key(tmp_path):
    fake = FakeStudy(tmp_path, RUNS)
    fake.edit_provenance("a", dataset={"name": "cifar10", "source": None, "sha256": {}})
    assert "dataset.source" in refused(fake)


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
