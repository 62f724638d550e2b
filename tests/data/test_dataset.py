"""The archive's reader and the Parquet that it becomes."""

import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from support import read_all
from twinbench import synthetic
from twinbench.dataset import (
    Records,
    decode_png,
    groups,
    read_archive,
    useful_workers,
    write_parquet,
)
from twinbench.errors import InputError
from twinbench.files import checksum

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
CLASSES = [f"class {i}" for i in range(10)]


def batch(count, label=0):
    return bytes([label, *[7] * 3072]) * count


@pytest.fixture
def members():
    """The members of a small but sound archive, by file name."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)]
    contents = {name: batch(2, label) for label, name in enumerate(names)}
    meta = "\n".join(CLASSES) + "\n\n"
    return contents | {"test_batch.bin": batch(3, 9), "batches.meta.txt": meta.encode()}


@pytest.fixture
def pack(tmp_path):
    """Write members, in their order, as an archive and return its path."""

    def write(members):
        path = tmp_path / "archive.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, data in members.items():
                entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return path

    return write


def complaint(path, official=False):
    with pytest.raises(InputError) as caught:
        read_archive(path, official)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def test_planes_become_channels_and_rows_stay_rows(members, pack):
    pixels = np.arange(3072).astype(np.uint8)
    members["test_batch.bin"] = bytes([4]) + pixels.tobytes()
    test = read_all(read_archive(pack(members), official=False).test)
    assert test.images.shape == (1, 32, 32, 3)
    assert np.array_equal(test.images[0], pixels.reshape(3, 32, 32).transpose(1, 2, 0))
    assert test.labels.tolist() == [4]


def test_training_records_follow_the_batch_numbers_whatever_the_members_order(members, pack):
    shuffled = dict(reversed(members.items())) | {"readme.html": b"<html>"}
    archive = read_archive(pack(shuffled), official=False)
    assert read_all(archive.train).labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert archive.class_names == CLASSES


@pytest.mark.parametrize("name", ["data_batch_3.bin", "test_batch.bin", "batches.meta.txt"])
def test_a_missing_member_is_named(members, pack, name):
    del members[name]
    assert f"no member {name}" in complaint(pack(members))


@pytest.mark.parametrize("size", [0, 3072, 3074])
def test_a_batch_of_broken_records_is_named(members, pack, size):
    members["data_batch_2.bin"] = bytes(size)
    assert f"data_batch_2.bin: {size} bytes" in complaint(pack(members))


def test_an_official_batch_has_ten_thousand_records(members, pack):
    assert "data_batch_1.bin: 2 records, expected 10000" in complaint(pack(members), official=True)


def test_a_label_over_nine_is_named_with_its_record(members, pack):
    members["data_batch_4.bin"] = batch(1, 9) + batch(1, 10)
    assert "data_batch_4.bin: record 1 has label 10" in complaint(pack(members))


@pytest.mark.parametrize("names", [CLASSES[:9], [*CLASSES, "another"], [*CLASSES[:9], "class 0"]])
def test_class_names_other_than_ten_different_ones_are_refused(members, pack, names):
    members["batches.meta.txt"] = "\n".join(names).encode()
    assert f"batches.meta.txt: {len(names)} class names" in complaint(pack(members))


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_archive_is_refused(tmp_path, kept):
    path = tmp_path / "archive.tar.gz"
    synthetic.write_archive(path, 10, 10, seed=0)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    complaint(path)


def test_an_archive_that_lacks_only_its_checksum_is_refused(members, pack):
    path = pack(members)
    path.write_bytes(path.read_bytes()[:-8])
    assert "not a whole gzipped tar archive" in complaint(path)


def test_a_changed_byte_is_noticed_by_the_stream_checksum(members, pack):
    path = pack(members)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[2000] ^= 1
    damaged = gzip.compress(bytes(content))
    path.write_bytes(damaged[:-8] + path.read_bytes()[-8:])
    assert "not a whole gzipped tar archive" in complaint(path)


@pytest.mark.parametrize("content", [b"<html>not found</html>", gzip.compress(b"no tar" * 500)])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "page.tar.gz"
    path.write_bytes(content)
    assert "not a whole gzipped tar archive" in complaint(path)


def test_a_missing_archive_is_named(tmp_path):
    assert "No such file" in complaint(tmp_path / "nothing.tar.gz")


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """The path of a split of 1,050 drawn images, its class names and records."""
    folder = tmp_path_factory.mktemp("parquet")
    synthetic.write_archive(folder / "archive.tar.gz", 1050, 20, seed=0)
    archive = read_archive(folder / "archive.tar.gz", official=False)
    records = groups(archive.train)
    write_parquet(folder / "train.parquet", "train", records, archive.class_names)
    return folder / "train.parquet", archive.class_names, read_all(archive.train)


def test_several_processes_write_the_same_file(parquet, tmp_path):
    _, names, train = parquet
    parts = [Records(train.images[a:b], train.labels[a:b]) for a, b in ((0, 500), (500, 1050))]
    for workers in (1, 2):
        write_parquet(tmp_path / f"{workers}.parquet", "train", parts, names, workers)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


@pytest.mark.parametrize(("images", "workers"), [(60, 1), (12_000, 2), (60_000, 4)])
def test_a_process_has_its_share_of_images(images, workers):
    assert useful_workers(images, 4) == workers


def check_row(train, row, png, path, label, sample_id):
    assert np.array_equal(decode_png(png), train.images[row])
    assert (path, label, sample_id) == (f"train-{row:05}.png", train.labels[row], row)


def test_datasets_gives_images_and_class_names(parquet, tmp_path):
    path, names, train = parquet
    table = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path)
    )
    assert table.features["img"] == datasets.Image()
    assert table.features["label"].names == names
    assert table.features["sample_id"].dtype == "int64"
    assert table["label"][:] == train.labels.tolist()
    assert np.array_equal(np.asarray(table[1049]["img"]), train.images[1049])


def test_pandas_agrees(parquet):
    path, _, train = parquet
    table = pd.read_parquet(path)
    assert table["label"].tolist() == train.labels.tolist()
    row = table.loc[1001]
    check_row(train, 1001, row["img"]["bytes"], row["img"]["path"], row["label"], 1001)


def test_duckdb_agrees(parquet):
    path, _, train = parquet
    rows = duckdb.sql(
        f"select img.bytes, img.path, label, sample_id from '{path}' order by sample_id"
    ).fetchall()
    assert len(rows) == 1050
    check_row(train, 1001, *rows[1001])


def test_polars_agrees(parquet):
    path, _, train = parquet
    table = pl.read_parquet(path)
    assert table["label"].to_list() == train.labels.tolist()
    row = table.row(1001, named=True)
    check_row(train, 1001, row["img"]["bytes"], row["img"]["path"], row["label"], 1001)


def test_the_entries_run_by_themselves_and_are_reproducible(tmp_path):
    def run(entry, **options):
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        subprocess.run([sys.executable, SCRIPTS / entry, *words], check=True, timeout=60)

    settings = '{"train_images": 100, "test_images": 20, "seed": 5}'
    drawn, copy = tmp_path / "drawn.tar.gz", tmp_path / "copy.tar.gz"
    run("draw_archive.py", settings=settings, output=drawn)
    run("import_archive.py", archive=drawn, sha256=checksum(drawn), output=copy)
    assert checksum(copy) == checksum(drawn)
    for turn in ("first", "second"):
        paths = {name: tmp_path / turn / f"{name}.parquet" for name in ("train", "test")}
        run("build_parquet.py", archive=copy, threads="2", settings='{"official": false}', **paths)
    for name in ("train.parquet", "test.parquet"):
        assert checksum(tmp_path / "first" / name) == checksum(tmp_path / "second" / name)


@pytest.mark.parametrize(
    ("exists", "reason"), [(True, "expected 0000"), (False, "correct dataset.archive")]
)
def test_an_archive_that_cannot_be_imported_fails_in_one_line(tmp_path, exists, reason):
    archive, output = tmp_path / "given.tar.gz", tmp_path / "out" / "archive.tar.gz"
    if exists:
        archive.write_bytes(b"another file")
    command = [sys.executable, SCRIPTS / "import_archive.py", "--archive", archive]
    result = subprocess.run(
        [*command, "--sha256", "0" * 64, "--output", output],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert reason in result.stderr and str(archive) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not output.exists()
