"""Progressive resizing: the same weights train on small images first, in both frameworks."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from frameworks import EACH_FRAMEWORK, PyTorch, TensorFlow
from support import TINY_RESIZABLE, make_job
from trainings import train
from twinbench.networks.architectures import AdaptiveAveragePooling

SMALL, LARGE = 32, 48


def resized(architecture=TINY_RESIZABLE):
    resizing = {"epochs": 1, "input_size": SMALL}
    return make_job(architecture, dropout=0.5, input_size=LARGE, progressive_resizing=resizing)


def train_resized(make_backend, folder):
    job = resized()
    return job, *train(make_backend, job, folder)


def test_the_twins_change_size_at_the_same_epoch_and_learn_alike(tmp_path):
    histories, logits = [], []
    for make_backend in (PyTorch, TensorFlow):
        job, backend, outcome = train_resized(make_backend, tmp_path / make_backend.__module__)
        histories.append(outcome.history)
        logits.append(backend.logits(job.test.images))
    for history in histories:
        assert [row["input_size"] for row in history] == [SMALL, LARGE]
    for first, second in zip(*histories, strict=True):
        assert first["train_loss"] == pytest.approx(second["train_loss"], rel=1e-3)
    assert np.abs(logits[0] - logits[1]).max() < 0.02 * np.abs(logits[0]).max()


@EACH_FRAMEWORK
def test_an_epoch_of_small_images_is_evaluated_on_small_images(make_backend, tmp_path, monkeypatch):
    monkeypatch.setattr("twinbench.recipe.schedule.selected_epoch", lambda history, which: 1)
    job, backend, outcome = train_resized(make_backend, tmp_path)
    assert backend.input_size == SMALL
    loss, accuracy = job.evaluate(backend.logits, job.validation)
    assert loss == pytest.approx(outcome.history[0]["validation_loss"], rel=1e-5)
    assert accuracy == outcome.history[0]["validation_accuracy"]


def test_the_saved_keras_network_takes_both_sizes(tmp_path):
    # Keras has no pooling to a grid of its own, only to one cell.
    layers = [
        replace(layer, size=1) if isinstance(layer, AdaptiveAveragePooling) else layer
        for layer in TINY_RESIZABLE.layers
    ]
    job = resized(replace(TINY_RESIZABLE, layers=tuple(layers)))
    backend = TensorFlow(job)
    backend.save_model(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    for size in (SMALL, LARGE):
        assert model(np.zeros((1, size, size, 3), np.float32)).shape == (1, job.classes)
