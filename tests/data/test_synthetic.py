"""Synthetic images: reproducible, balanced, and a task that needs all three attributes."""

import hashlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from twinbench.data.archive import read_archive
from twinbench.data.synthetic import class_names, generate, generate_split, write_archive

# SHA-256 of 230 images and labels with seed 3.
DIGESTS = {
    "target": "8be32da9e34291874a6b95a38063be125a031f9cca4e05bca3035bb92a90a83c",
    "source": "9be6e6bf6c8b17e85707e2e5f9113efecd6fa12ea470d8fecb7d0c24db98c4e5",
}


@pytest.mark.parametrize("task", DIGESTS)
def test_the_images_of_a_seed_never_change_and_are_balanced(task):
    images, labels = generate(task, 230, seed=3)
    assert (images.shape, images.dtype) == ((230, 32, 32, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((230,), np.uint8)
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == DIGESTS[task]
    assert np.ptp(np.bincount(labels, minlength=len(class_names(task)))) <= 1


def test_images_depend_on_seed_task_and_position_but_not_on_the_count():
    images = [generate("target", 400, seed)[0] for seed in (0, 1)]
    images.append(generate("source", 400, 0)[0])
    blocks = {half.tobytes() for each in images for half in (each[:200], each[200:])}
    assert len(blocks) == 6
    assert np.array_equal(images[0][:217], generate("target", 217, 0)[0])


def test_the_tasks_share_all_attributes_but_no_class():
    target, source = ({tuple(name.split()) for name in class_names(task)} for task in DIGESTS)
    assert (len(target), len(source), len(target & source)) == (10, 20, 0)
    for place in range(3):
        assert {name[place] for name in target} <= {name[place] for name in source}
        # Without one attribute at most six in ten images can be distinguished.
        assert len({name[:place] + name[place + 1 :] for name in target}) <= 6


@pytest.mark.parametrize(
    "features",
    [lambda images: images.reshape(len(images), -1), lambda images: images.mean(axis=(1, 2))],
    ids=["pixels", "mean colours"],
)
def test_a_linear_model_stays_below_40_percent(features):
    images, labels = generate("target", 3000, seed=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, tol=0.01, max_iter=300))
    model.fit(features(images), labels)
    images, labels = generate("target", 1000, seed=1)
    assert model.score(features(images), labels) < 0.4


@pytest.mark.parametrize("count", [0, 30])
def test_a_split_holds_the_generated_images(count):
    split = generate_split("source", count, seed=2)
    images, labels = generate("source", count, seed=2)
    assert np.array_equal(split.images, images)
    assert (split.labels.dtype, split.labels.tolist()) == (np.int64, labels.tolist())
    assert split.sample_ids.tolist() == list(range(count))
    assert split.class_names == class_names("source")
    assert (split.mean.tolist(), split.std.tolist()) == ([0.5] * 3, [0.25] * 3)


def test_an_archive_holds_the_generated_images_in_reproducible_bytes(tmp_path):
    first, second = tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"
    for path in (first, second):
        write_archive(path, 53, 20, seed=4)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[4:8] == bytes(4)  # no time in the gzip header
    archive = read_archive(first)
    images, labels = generate("target", 73, seed=4)
    for part, rows in ((archive.train, slice(53)), (archive.test, slice(53, None))):
        assert np.array_equal(part.images, images[rows])
        assert np.array_equal(part.labels, labels[rows])
    assert archive.class_names == class_names("target")
