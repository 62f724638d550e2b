"""The splits' tensors, their statistics and their files."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import load_file
from twinbench.data.archive import read_archive
from twinbench.data.description import describe
from twinbench.data.selection import SelectionSettings
from twinbench.data.splits import load, save
from twinbench.data.synthetic import write_archive
from twinbench.data.tensors import build_splits, channel_statistics

SETTINGS = {"limit": 60, "validation_fraction": 0.36, "seed": 7}
# SHA-256 of images, labels and sample ids.
DIGESTS = {
    "train": "8defe2e276078dc8127757889eaf408158af4a6af2b1dfb46d642f9812698e42",
    "validation": "f9849505e0d024818385c1766105bd83239d353ac08c3a13ebcbb7291d4b6333",
    "test": "e1fdc7534326d6bd7e31d49a70700650688ad5520fb05a1a4330e3331a669fc5",
}
MEAN = [0.40348327447755417, 0.4263236503482972, 0.4195555380869453]
STD = [0.1816430652731506, 0.20838394066211394, 0.21409628105341913]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The splits of 130 and 70 synthetic images, and their summary."""
    path = tmp_path_factory.mktemp("archive") / "archive.tar.gz"
    write_archive(path, 130, 70, seed=5)
    settings = SelectionSettings(**SETTINGS)
    splits = build_splits(read_archive(path), settings)
    return splits, describe(splits, settings)


def test_the_splits_of_given_settings_never_change(built):
    splits, _ = built
    assert splits["validation"].sample_ids[:8].tolist() == [2, 19, 20, 35, 36, 37, 41, 49]
    for name, split in splits.items():
        assert (split.mean.tolist(), split.std.tolist()) == (MEAN, STD)
        content = split.images.tobytes() + split.labels.tobytes() + split.sample_ids.tobytes()
        assert hashlib.sha256(content).hexdigest() == DIGESTS[name]


def test_the_summary_has_settings_statistics_and_counts(built):
    splits, summary = built
    names = summary.pop("class_names")
    for name, counts in summary.pop("counts").items():
        assert names == splits[name].class_names == list(counts)
        assert counts == Counter(names[label] for label in splits[name].labels)
    assert summary == {**SETTINGS, "mean": MEAN, "std": STD}


def test_statistics_are_those_of_the_training_images_by_channel(built):
    pixels = built[0]["train"].images.reshape(-1, 3).astype(np.float64) / 255
    np.testing.assert_allclose(MEAN, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(STD, pixels.std(axis=0), rtol=1e-12)
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16, :, 1] = 255
    image[..., 2] = 51
    mean, std = channel_statistics(np.broadcast_to(image, (30_000, 32, 32, 3)))
    assert (mean.tolist(), std.tolist()) == ([0, 0.5, 0.2], [0, 0.5, 0])


def test_a_file_keeps_everything_and_always_has_the_same_bytes(built, tmp_path):
    split, path = built[0]["validation"], tmp_path / "split.safetensors"
    contents = set()
    for _ in range(8):  # safetensors writes several keys of metadata in random order
        save(path, split)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    loaded = load(path)
    for field in ("images", "labels", "sample_ids", "mean", "std"):
        saved, found = getattr(split, field), getattr(loaded, field)
        assert np.array_equal(found, saved) and found.dtype == saved.dtype
    assert loaded.class_names == split.class_names
    assert set(load_file(path)) == {"images", "labels", "sample_ids"}
