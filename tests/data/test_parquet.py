"""Parquet files as people's tools read them."""

import io

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image
from twinbench.data.archive import Samples
from twinbench.data.parquet import write_parquet

CLASSES = [f"class {i}" for i in range(10)]
COUNT = 1050  # more than a row group
RANDOM = np.random.default_rng(0)
SAMPLES = Samples(
    images=RANDOM.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8),
    labels=RANDOM.integers(0, 10, COUNT),
    sample_ids=np.arange(0, 3 * COUNT, 3),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "train.parquet"
    write_parquet(path, "train", SAMPLES, CLASSES)
    return path


def test_datasets_finds_images_and_class_names(path, tmp_path):
    table = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path)
    )
    assert table.features["img"] == datasets.Image()
    assert table.features["label"].names == CLASSES
    assert table.features["sample_id"].dtype == "int64"
    assert table["label"][:] == SAMPLES.labels.tolist()
    assert np.array_equal(np.asarray(table[1049]["img"]), SAMPLES.images[1049])


@pytest.mark.parametrize(
    "read",
    [
        lambda path: list(pd.read_parquet(path).itertuples(index=False)),
        lambda path: pl.read_parquet(path).rows(),
        lambda path: duckdb.sql(f"select img, label, sample_id from '{path}'").fetchall(),
    ],
    ids=["pandas", "polars", "duckdb"],
)
def test_each_tool_reads_the_same_rows(path, read):
    rows = read(path)
    assert [row[1] for row in rows] == SAMPLES.labels.tolist()
    assert [row[2] for row in rows] == SAMPLES.sample_ids.tolist()
    file = rows[1001][0]
    assert file["path"] == "train-03003.png"
    with Image.open(io.BytesIO(file["bytes"]), formats=["PNG"]) as image:
        assert np.array_equal(image, SAMPLES.images[1001])


def test_a_reader_can_take_parts_of_the_file(path):
    assert pq.ParquetFile(path).num_row_groups == 2
