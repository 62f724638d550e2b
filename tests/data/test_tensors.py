"""The tensors of the training, validation and test splits."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file
from twinbench import dataset, tensors
from twinbench.dataset import Records, write_parquet
from twinbench.errors import InputError
from twinbench.files import checksum
from twinbench.splits import load, save

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
CLASSES = [f"class {i}" for i in range(10)]


def records(count, seed):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return Records(images, generator.permutation(np.arange(count) % 10).astype(np.uint8))


def in_groups(split):
    """The records in two parts of unequal size."""
    return [
        Records(split.images[:150], split.labels[:150]),
        Records(split.images[150:], split.labels[150:]),
    ]


TRAIN, TEST = records(400, seed=1), records(200, seed=2)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """The Parquet files of `TRAIN` and `TEST`."""
    folder = tmp_path_factory.mktemp("parquet")
    write_parquet(folder / "train.parquet", "train", in_groups(TRAIN), CLASSES)
    write_parquet(folder / "test.parquet", "test", in_groups(TEST), CLASSES)
    return folder / "train.parquet", folder / "test.parquet"


def build(parquet, folder, limit=None, validation_fraction=0.1, seed=0, workers=1):
    """The splits as their files hold them."""
    files = {name: folder / f"{name}.safetensors" for name in ("train", "validation", "test")}
    tensors.build(*parquet, files, limit, validation_fraction, seed, workers)
    return {name: load(path) for name, path in files.items()}


@pytest.fixture(scope="module")
def splits(parquet, tmp_path_factory):
    return build(parquet, tmp_path_factory.mktemp("splits"))


def test_several_processes_write_the_same_files(parquet, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "_IMAGES_A_WORKER", 100)
    for name, split in build(parquet, tmp_path, workers=2).items():
        assert np.array_equal(split.images, splits[name].images)
        assert np.array_equal(split.sample_ids, splits[name].sample_ids)


READ = """
import re, sys
from pathlib import Path
import numpy as np
from twinbench import tensors

def peak():  # of this process; getrusage begins with the parent's
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak()
source = tensors._Parquet(sys.argv[1])
assert sum(map(len, source.images(np.arange(0, len(source.labels), 500), workers=1))) == 100
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from Linux's /proc")
def test_memory_does_not_grow_with_the_file(tmp_path):
    noise = records(1000, seed=3)
    write_parquet(tmp_path / "part.parquet", "train", [noise], CLASSES)
    part = pq.read_table(tmp_path / "part.parquet")
    with pq.ParquetWriter(tmp_path / "large.parquet", part.schema) as writer:
        for _ in range(50):
            writer.write_table(part)
    command = [sys.executable, "-c", READ, tmp_path / "large.parquet"]
    options = {
        "capture_output": True,
        "text": True,
        "env": os.environ | {"PYTHONPATH": str(SCRIPTS)},
    }
    grown = subprocess.run(command, check=True, **options).stdout
    size = (tmp_path / "large.parquet").stat().st_size
    assert size > 1e8
    assert int(grown) < size


def per_class(labels):
    return set(np.bincount(labels, minlength=10).tolist())


def test_samples_are_those_of_their_rows(splits):
    for name, source in (("train", TRAIN), ("validation", TRAIN), ("test", TEST)):
        split = splits[name]
        assert np.array_equal(split.images, source.images[split.sample_ids])
        assert np.array_equal(split.labels, source.labels[split.sample_ids])


def test_dtypes_are_those_of_the_contract(splits):
    split = splits["validation"]
    dtypes = (split.images.dtype, split.labels.dtype, split.sample_ids.dtype)
    assert dtypes == (np.uint8, np.int64, np.int64)
    assert split.images.shape == (40, 32, 32, 3)


def test_validation_is_taken_out_of_train_and_stratified(splits):
    train, validation = splits["train"].sample_ids, splits["validation"].sample_ids
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(400))
    assert per_class(splits["train"].labels) == {36}
    assert per_class(splits["validation"].labels) == {4}
    assert np.array_equal(splits["test"].sample_ids, np.arange(200))


def test_the_limit_takes_stratified_samples_of_each_file(parquet, tmp_path):
    splits = build(parquet, tmp_path, limit=100, validation_fraction=0.2)
    sizes = {"train": {8}, "validation": {2}, "test": {10}}
    assert {name: per_class(split.labels) for name, split in splits.items()} == sizes


def test_the_choice_depends_on_the_seed(parquet, tmp_path):
    first, again, other = (
        build(parquet, tmp_path, limit=100, validation_fraction=0.2, seed=seed)
        for seed in (0, 0, 1)
    )
    for name in first:
        assert np.array_equal(first[name].sample_ids, again[name].sample_ids)
        assert not np.array_equal(first[name].sample_ids, other[name].sample_ids)


def test_every_prefix_of_the_order_is_stratified():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    order = tensors.stratified_order(labels, seed=0)
    assert np.array_equal(np.sort(order), np.arange(100))
    for length in range(1, 101):
        counts = np.bincount(labels[order[:length]], minlength=3)
        assert np.abs(counts - length * np.array([0.6, 0.3, 0.1])).max() <= 1


def test_channel_statistics_are_those_of_the_training_part_alone(splits):
    pixels = splits["train"].images.reshape(-1, 3).astype(np.float64) / 255
    for split in splits.values():
        np.testing.assert_allclose(split.mean, pixels.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(split.std, pixels.std(axis=0), rtol=1e-12)


def test_channel_statistics_keep_channels_apart():
    images = np.zeros((4, 32, 32, 3), np.uint8)
    images[:2, ..., 1] = 255
    images[..., 2] = 51
    counts = tensors.ValueCounts()
    for part in (images[:3], images[3:]):
        counts.add(part)
    mean, std = counts.mean_and_deviation()
    assert mean.tolist() == [0, 0.5, 0.2]
    assert std.tolist() == [0, 0.5, 0]


@pytest.mark.parametrize(
    ("limit", "fraction", "split"),
    [(9, 0.1, "train"), (50, 0.1, "validation"), (None, 0.0, "validation"), (None, 1.0, "train")],
)
def test_a_class_without_an_image_is_named(parquet, tmp_path, limit, fraction, split):
    with pytest.raises(InputError, match=f"the {split} split has no image of the class 'class"):
        build(parquet, tmp_path, limit=limit, validation_fraction=fraction)
    assert list(tmp_path.iterdir()) == []


def test_saving_and_loading_keeps_everything(splits, tmp_path):
    save(tmp_path / "split.safetensors", splits["validation"])
    loaded = load(tmp_path / "split.safetensors")
    for field in ("images", "labels", "sample_ids", "mean", "std"):
        expected = getattr(splits["validation"], field)
        assert np.array_equal(getattr(loaded, field), expected)
        assert getattr(loaded, field).dtype == expected.dtype
    assert loaded.class_names == CLASSES


def test_safetensors_itself_reads_what_was_written(splits, tmp_path):
    save(tmp_path / "split.safetensors", splits["test"])
    read = load_file(tmp_path / "split.safetensors")
    assert set(read) == {"images", "labels", "sample_ids"}
    assert np.array_equal(read["images"], splits["test"].images)


def test_a_split_of_too_few_images_is_not_written(splits, tmp_path):
    split = splits["validation"]
    path = tmp_path / "split.safetensors"
    with pytest.raises(ValueError, match="39 images for 40 labels"):
        save(path, replace(split, images=split.images[1:]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"{}" * 100])
def test_a_file_without_tensors_is_refused(tmp_path, content):
    path = tmp_path / "split.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="not a split's tensors"):
        load(path)


def test_a_parquet_file_without_images_is_refused(parquet, tmp_path):
    path = tmp_path / "train.parquet"
    path.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match=r"train\.parquet: not a split in Parquet"):
        build((path, parquet[1]), tmp_path)


def test_the_entry_writes_splits_and_statistics_reproducibly(parquet, tmp_path):
    names = ("train", "validation", "test")
    settings = '{"limit": 100, "validation_fraction": 0.2, "seed": 3}'
    for turn in ("first", "second"):
        folder = tmp_path / turn
        command = [
            sys.executable,
            SCRIPTS / "build_tensors.py",
            "--settings",
            settings,
            "--threads",
            "2",
        ]
        command += ["--train-parquet", parquet[0], "--test-parquet", parquet[1]]
        for name in names:
            command += [f"--{name}", folder / f"{name}.safetensors"]
        command += ["--statistics", folder / "statistics.json"]
        subprocess.run(command, check=True, timeout=60)
    for path in (tmp_path / "first").iterdir():
        assert checksum(path) == checksum(tmp_path / "second" / path.name)

    statistics = json.loads((tmp_path / "first" / "statistics.json").read_text())
    train = load(tmp_path / "first" / "train.safetensors")
    totals = {name: sum(counts.values()) for name, counts in statistics["counts"].items()}
    assert totals == {"train": 80, "validation": 20, "test": 100}
    assert statistics["counts"]["validation"] == dict.fromkeys(CLASSES, 2)
    assert statistics["class_names"] == CLASSES
    assert (statistics["mean"], statistics["std"]) == (train.mean.tolist(), train.std.tolist())
    assert {key: statistics[key] for key in ("limit", "validation_fraction", "seed")} == json.loads(
        settings
    )
