"""The drawn data set: reproducible, balanced, and a task that needs all three attributes."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support import read_all
from twinbench import synthetic
from twinbench.dataset import read_archive
from twinbench.files import checksum


@pytest.fixture(scope="module")
def train():
    return synthetic.draw("target", 3000, seed=0)


@pytest.fixture(scope="module")
def fresh():
    return synthetic.draw("target", 1000, seed=1)


def words(task):
    return [tuple(name.split()) for name in synthetic.class_names(task)]


def linear_accuracy(train, fresh, features):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, tol=0.01, max_iter=300))
    model.fit(features(train[0]), train[1])
    return model.score(features(fresh[0]), fresh[1])


@pytest.mark.parametrize("task", ["target", "source"])
def test_an_image_depends_on_task_and_seed_and_not_on_the_count(task):
    images, labels = synthetic.draw(task, 450, seed=3)
    fewer_images, fewer_labels = synthetic.draw(task, 217, seed=3)
    assert np.array_equal(images[:217], fewer_images)
    assert np.array_equal(labels[:217], fewer_labels)


def test_other_seeds_blocks_and_tasks_give_other_images():
    images = [synthetic.draw("target", 400, seed=seed)[0] for seed in (0, 1)]
    images.append(synthetic.draw("source", 400, seed=0)[0])
    blocks = [half.tobytes() for image in images for half in (image[:200], image[200:])]
    assert len(set(blocks)) == 6


@pytest.mark.parametrize("task", ["target", "source"])
def test_labels_are_balanced_within_one(task):
    _, labels = synthetic.draw(task, 533, seed=0)
    counts = np.bincount(labels, minlength=len(synthetic.class_names(task)))
    assert counts.max() - counts.min() <= 1


def test_shapes_and_dtypes():
    images, labels = synthetic.draw("source", 7, seed=0)
    assert (images.shape, images.dtype) == ((7, 32, 32, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((7,), np.uint8)


def test_the_tasks_share_no_class_but_all_attributes():
    target, source = words("target"), words("source")
    assert len(set(target)) == 10
    assert len(set(source)) == 20
    assert not set(target) & set(source)
    for place in range(3):
        assert {name[place] for name in target} <= {name[place] for name in source}


@pytest.mark.parametrize("hidden", range(3))
def test_two_attributes_tell_at_most_six_in_ten_target_images(hidden):
    visible = {name[:hidden] + name[hidden + 1 :] for name in words("target")}
    assert len(visible) <= 6


def test_a_linear_model_of_the_pixels_stays_below_40_percent(train, fresh):
    assert linear_accuracy(train, fresh, lambda images: images.reshape(len(images), -1)) < 0.4


def test_a_linear_model_of_the_mean_colours_stays_below_40_percent(train, fresh):
    assert linear_accuracy(train, fresh, lambda images: images.mean(axis=(1, 2))) < 0.4


def test_the_archive_holds_what_is_drawn_and_its_bytes_are_reproducible(tmp_path):
    first, second = tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"
    synthetic.write_archive(first, 53, 20, seed=4)
    synthetic.write_archive(second, 53, 20, seed=4)
    assert checksum(first) == checksum(second)
    assert first.read_bytes()[4:8] == bytes(4)  # no time in the gzip header

    archive = read_archive(first, official=False)
    images, labels = synthetic.draw("target", 73, seed=4)
    assert np.array_equal(read_all(archive.train).images, images[:53])
    assert np.array_equal(read_all(archive.test).images, images[53:])
    assert np.array_equal(read_all(archive.train).labels, labels[:53])
    assert np.array_equal(read_all(archive.test).labels, labels[53:])
    assert archive.class_names == synthetic.class_names("target")
