"""What trainings leave for the analysis: provenance, history and predictions of a run."""

import io
import json
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from analysis.fake_study import CLASS_NAMES, DATASET, SETTINGS, FakeRun, FakeStudy
from bad_inputs import boundaries
from twinbench.analysis import reading

RUNS = {"a": FakeRun(), "b": FakeRun(noise=1)}
IMAGES = 20
ANEW = "delete it and start again: the run will be retrained"
REFUSED = f"{{file}}: ...; {ANEW}"


@cache
def file(name: str) -> bytes:
    """The content of run b's file."""
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeStudy(Path(folder), RUNS, images=IMAGES)
        return (fake.folder("b") / name).read_bytes()


def evaluate(
    refuse, folder: Path, name: str, damaged: bytes | None, expected: str, **options
) -> None:
    fake = FakeStudy(folder, RUNS, images=IMAGES)
    path = fake.folder("b") / name
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    words = [*fake.arguments, "--directory", fake.directory, "--output", "metrics.csv"]
    line = expected.format(file=path)
    refuse(line, "evaluate_runs.py", *words, outputs=["metrics.csv"], **options)


# --- Provenance ----------------------------------------------------------------------------------


def provenance(**changes) -> bytes:
    return json.dumps(json.loads(file("provenance.json")) | changes).encode()


def without(key: str) -> bytes:
    return json.dumps(
        {k: v for k, v in json.loads(file("provenance.json")).items() if k != key}
    ).encode()


def invalid(key: str) -> str:
    return f"{{file}}: {key}: ...; {ANEW}"


PROVENANCES = {
    "missing": (None, "{file}: no such file; start again: the run will be retrained"),
    "empty": (b"", REFUSED),
    "no JSON": (b"{]", REFUSED),
    "no UTF-8": (b"\xff{}", REFUSED),
    "a list": (b"[]", invalid("content")),
    "nested deeply": (b"[" * 100_000, f"{{file}}: nested too deeply; {ANEW}"),
    "a number of five thousand digits": (b'{"seed": ' + b"9" * 5000 + b"}", REFUSED),
    "a key is missing": (without("status"), invalid("status")),
    "a seed of text": (provenance(seed="one"), invalid("seed")),
    "an infinite seed": (provenance(seed=float("inf")), invalid("seed")),
    "endless seconds": (provenance(total_seconds=float("inf")), invalid("total_seconds")),
    "a status that nobody knows": (provenance(status="fine"), invalid("status")),
    "no epochs": (provenance(epochs_run=0), invalid("epochs_run")),
    "a negative epoch": (provenance(selected_epoch=-1), invalid("selected_epoch")),
    "a source that is nothing": (
        provenance(dataset={**DATASET, "source": None}),
        invalid("dataset.source"),
    ),
    "checksums in a list": (
        provenance(dataset={**DATASET, "sha256": ["12"]}),
        invalid("dataset.sha256"),
    ),
    "settings that are none": (
        provenance(settings={}),
        "{file}: settings... is null, but the config asks for ...; delete ...b/seed-0/history.csv and "
        "start again: ...",
    ),
}


@pytest.mark.parametrize("name", PROVENANCES)
def test_another_provenance_is_refused(refuse, folder, name):
    evaluate(refuse, folder, "provenance.json", *PROVENANCES[name])


def test_a_provenance_that_ends_early_is_refused(refuse_each):
    starts = boundaries.cut(file("provenance.json"), boundaries.of_json)
    refuse_each(starts, reading.read_provenance, "provenance.json", REFUSED)


# --- History -------------------------------------------------------------------------------------


def history(old: str = "", new: str = "") -> bytes:
    text = file("history.csv").decode()
    assert old in text
    return text.replace(old, new, 1).encode()


def lines(change) -> bytes:
    return "".join(change(history().decode().splitlines(keepends=True))).encode()


EPOCHS = f"{{file}}: its epochs are not 1 to 8, as in provenance.json; {ANEW}"
HISTORIES = {
    "missing": (None, "{file}: no such file; start again: the run will be retrained"),
    "empty": (b"", f"{{file}}: no rows; {ANEW}"),
    "the header alone": (lines(lambda rows: rows[:1]), EPOCHS),
    "no UTF-8": (b"\xff\n", REFUSED),
    "a page": (b"<html>\nnot found, sorry\n", REFUSED),
    "zeros, as after a power cut": (bytes(1000), REFUSED),
    "a missing column": (history("train_loss", "loss"), REFUSED),
    "a column twice": (history("train_loss", "seconds"), REFUSED),
    "text in place of a number": (history(",37.5,", ",fast,"), REFUSED),
    "an empty cell": (history(",37.5,", ",,"), REFUSED),
    "a cell too many": (
        history("1,all,", "1,all,all,"),
        f"{{file}}: row 1 has 11 cells, but the header 10; {ANEW}",
    ),
    "a cell too few": (
        history("1,all,", "1,"),
        f"{{file}}: row 1 has 9 cells, but the header 10; {ANEW}",
    ),
    "a cell too many in each row": (
        lines(lambda rows: rows[:1] + [f"0,{row}" for row in rows[1:]]),
        f"{{file}}: row 1 has 11 cells, but the header 10; {ANEW}",
    ),
    "an open quotation mark": (history("1,all,", '1,"all,'), REFUSED),
    "an epoch too few": (lines(lambda rows: rows[:-1]), EPOCHS),
    "an epoch twice": (lines(lambda rows: [*rows[:-1], rows[-2]]), EPOCHS),
    "epochs in another order": (lines(lambda rows: rows[:1] + rows[:0:-1]), EPOCHS),
    "an epoch and a half": (history("1,all,", "1.5,all,"), EPOCHS),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_another_history_is_refused(refuse, folder, name):
    evaluate(refuse, folder, "history.csv", *HISTORIES[name])


def test_a_history_that_ends_early_is_refused(refuse_each):
    starts = boundaries.cut(file("history.csv"), boundaries.of_csv)
    read = partial(reading.read_history, epochs=SETTINGS["epochs"])
    refuse_each(starts, read, "history.csv", REFUSED)


# --- Predictions ---------------------------------------------------------------------------------


NAMES = json.dumps(CLASS_NAMES)


def predictions(names: str | None = NAMES, **columns) -> bytes:
    """A file as training writes it, with other columns; None leaves one out."""
    table = pq.read_table(io.BytesIO(file("predictions.parquet")))
    found = {name: table[name] for name in table.column_names} | columns
    changed = pa.table({name: column for name, column in found.items() if column is not None})
    return parquet(changed.replace_schema_metadata({} if names is None else {"class_names": names}))


def parquet(table: pa.Table, **options) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True, **options)
    return buffer.getvalue()


def logits(change=lambda values: values) -> pa.Array:
    table = pq.read_table(io.BytesIO(file("predictions.parquet")))
    values = np.array(table["logits"].to_pylist())
    return pa.array([list(row) for row in change(values)], pa.list_(pa.float32()))


def with_value(value: float) -> pa.Array:
    def change(values: np.ndarray) -> np.ndarray:
        values[3, 2] = value
        return values

    return logits(change)


def twice(name: str) -> bytes:
    table = pq.read_table(io.BytesIO(file("predictions.parquet")))
    return parquet(table.append_column(name, table[name]))


def flipped(position: float) -> bytes:
    damaged = bytearray(file("predictions.parquet"))
    damaged[int(position * (len(damaged) - 1))] ^= 1
    return bytes(damaged)


def bomb() -> bytes:
    """Forty million rows in some kilobytes."""
    buffer = io.BytesIO()
    rows = pa.table({"sample_id": pa.array(np.zeros(1 << 20, np.int64))})
    with pq.ParquetWriter(buffer, rows.schema, compression="zstd") as writer:
        for _ in range(40):
            writer.write_table(rows)
    return buffer.getvalue()


IDS, LABELS = np.arange(IMAGES), np.arange(IMAGES) % 10
NO_NAMES = f"{{file}}: its metadata lack class_names, a list of texts; {ANEW}"
NOT_FINITE = (
    "{file}: sample 3 has a logit that is NaN or infinite, but the run is not marked as collapsed; "
    + ANEW
)


def holds_others(column: str) -> str:
    return f"{{file}}: column {column} holds ...; {ANEW}"


DIFFER = (
    "{file}: samples, labels or classes differ from those of ...a/seed-0/predictions.parquet, made "
    f"later; {ANEW}"
)
PREDICTIONS = {
    "missing": (None, "{file}: no such file; start again: the run will be retrained"),
    "empty": (b"", REFUSED),
    "a page": (b"<html>not found</html>", REFUSED),
    "zeros, as after a power cut": (bytes(5000), REFUSED),
    "encrypted": (file("predictions.parquet")[:-4] + b"PARE", REFUSED),
    "no rows": (
        predictions(sample_id=IDS[:0], label=LABELS[:0], logits=logits()[:0]),
        f"{{file}}: no rows; {ANEW}",
    ),
    "no columns": (
        parquet(
            pa.table({"a": [1]}),
        ),
        NO_NAMES,
    ),
    "without labels": (predictions(label=None), f"{{file}}: column label is missing; {ANEW}"),
    "labels twice": (twice("label"), f"{{file}}: column label is there twice; {ANEW}"),
    "labels of text": (predictions(label=LABELS.astype(str)), holds_others("label")),
    "labels that are halves": (predictions(label=LABELS / 2), holds_others("label")),
    "a label that is nothing": (
        predictions(label=[None, *LABELS[1:].tolist()]),
        f"{{file}}: label has values that are not integers; {ANEW}",
    ),
    "a label of no class": (
        predictions(label=LABELS + 1),
        f"{{file}}: sample 9 has label 10, but there are 10 classes; {ANEW}",
    ),
    "a negative label": (
        predictions(label=LABELS - 1),
        f"{{file}}: sample 0 has label -1, but there are 10 classes; {ANEW}",
    ),
    "a sample twice": (
        predictions(sample_id=np.maximum(IDS, 1)),
        f"{{file}}: sample_id 1 occurs 2 times; {ANEW}",
    ),
    "samples of text": (predictions(sample_id=IDS.astype(str)), holds_others("sample_id")),
    "other samples": (predictions(sample_id=IDS + 1), DIFFER),
    "other labels": (predictions(label=(LABELS + 1) % 10), DIFFER),
    "other classes": (predictions(names=json.dumps(CLASS_NAMES[::-1])), DIFFER),
    "one logit each": (predictions(logits=IDS.astype(np.float32)), holds_others("logits")),
    "whole logits": (predictions(logits=[[1] * 10] * IMAGES), holds_others("logits")),
    "a logit too few": (
        predictions(logits=pa.array([[1.0]] + [[1.0] * 10] * (IMAGES - 1))),
        f"{{file}}: row 0 has 1 logits, expected 10; {ANEW}",
    ),
    "no logits for a sample": (
        predictions(logits=pa.array([[1.0] * 10] * (IMAGES - 1) + [None])),
        f"{{file}}: row 19 has 0 logits, expected 10; {ANEW}",
    ),
    "a logit that is nothing": (
        predictions(logits=pa.array([[1.0] * 10] * 3 + [[None] + [1.0] * 9] + [[1.0] * 10] * 16)),
        NOT_FINITE,
    ),
    "a logit that is no number": (predictions(logits=with_value(np.nan)), NOT_FINITE),
    "an infinite logit": (predictions(logits=with_value(np.inf)), NOT_FINITE),
    "without class names": (predictions(names=None), NO_NAMES),
    "class names that are no JSON": (predictions(names="cat, dog"), REFUSED),
    "class names nested deeply": (
        predictions(names="[" * 100_000),
        f"{{file}}: nested too deeply; {ANEW}",
    ),
    "a number of class names": (predictions(names="10"), NO_NAMES),
    "class names that are numbers": (predictions(names=json.dumps(list(range(10)))), NO_NAMES),
    "class names by label": (predictions(names='{"0": "cat"}'), NO_NAMES),
    "forty million rows": (
        bomb(),
        f"{{file}}: 41943040 values in a column, more than 33554432; {ANEW}",
    ),
    **{f"a bit at {position}": (flipped(position), REFUSED) for position in (0.3, 0.9)},
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_other_predictions_are_refused(refuse, folder, name):
    evaluate(refuse, folder, "predictions.parquet", *PREDICTIONS[name])


def test_predictions_that_end_early_are_refused(refuse_each):
    starts = boundaries.cut(file("predictions.parquet"), boundaries.of_parquet)
    refuse_each(starts, reading.read_predictions, "predictions.parquet", REFUSED)


@pytest.mark.parametrize("name", ["provenance.json", "history.csv", "predictions.parquet"])
def test_a_folder_in_place_of_a_file_is_named(refuse, folder, name):
    fake = FakeStudy(folder, RUNS, images=IMAGES)
    path = fake.folder("b") / name
    path.unlink()
    path.mkdir()
    words = [*fake.arguments, "--directory", fake.directory, "--output", "metrics.csv"]
    refuse(f"{path}: a folder instead of a file; {ANEW}", "evaluate_runs.py", *words)
