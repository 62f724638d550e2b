"""The entry scripts of the data rules, run by themselves."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from twinbench.data.splits import load
from twinbench.files import checksum

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
SELECTION = "limit=60 validation_fraction=0.36 seed=7 --archive archive.tar.gz"
BUILD_TENSORS = (
    f"build_tensors.py {SELECTION} --train train.safetensors "
    "--validation validation.safetensors --test test.safetensors"
)
DESCRIBE_TENSORS = (
    "describe_tensors.py limit=60 validation_fraction=0.36 seed=7 --train "
    "train.safetensors --validation validation.safetensors --test test.safetensors "
    "--output statistics.json"
)
BUILD_PARQUET = f"build_parquet.py {SELECTION} --train train.parquet --test test.parquet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an archive of synthetic images."""
    folder = tmp_path_factory.mktemp("data")
    run(
        "generate_archive.py train_images=120 test_images=70 seed=5 --output archive.tar.gz", folder
    )
    return folder


def run(command, folder, returncode=0):
    """Run a script with its arguments in `folder`; returns its messages."""
    line = [sys.executable, *f"{SCRIPTS}/{command}".split()]
    result = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60)
    assert result.returncode == returncode, result.stderr
    return result.stderr


def test_parquet_holds_the_images_of_the_tensors(folder):
    for command in (BUILD_TENSORS, DESCRIBE_TENSORS, BUILD_PARQUET):
        run(command, folder)
    totals = {}
    for name, parts in (("train", ("train", "validation")), ("test", ("test",))):
        splits = [load(folder / f"{part}.safetensors") for part in parts]
        totals |= dict(zip(parts, map(len, splits), strict=True))
        ids = np.concatenate([split.sample_ids for split in splits])
        labels = np.concatenate([split.labels for split in splits])
        table = pq.read_table(folder / f"{name}.parquet")
        assert table["sample_id"].to_pylist() == sorted(ids)
        assert table["label"].to_pylist() == labels[np.argsort(ids)].tolist()
    counts = json.loads((folder / "statistics.json").read_text())["counts"]
    assert totals == {name: sum(found.values()) for name, found in counts.items()}
    assert totals == {"train": 38, "validation": 22, "test": 60}


def test_a_local_archive_of_the_right_checksum_is_copied(folder):
    archive, output = folder / "archive.tar.gz", folder / "copies" / "archive.tar.gz"
    words = f"--archive {archive} --output {output} --sha256 {checksum(archive)}"
    run(f"import_archive.py {words}", folder)
    assert output.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("script", "option", "advice"),
    [
        ("download_archive.py", "--sha256", "set dataset.source: synthetic"),
        ("download_weights.py", "--checksum", "set weights: synthetic"),
    ],
)
def test_a_failed_download_says_what_to_do_without_it(folder, script, option, advice):
    command = f"{script} --pauses --url http://127.0.0.1:9/file --output file {option} {'0' * 64}"
    message = run(command, folder, returncode=1)
    assert advice in message and len(message.splitlines()) == 1
