"""Progressive resizing: the same weights train on small images first, in both frameworks."""

import keras
import numpy as np
import pytest
from arms import ARMS, PyTorchArm, TensorFlowArm, train_job
from support import make_job

# AlexNet averages to 6x6 parts, VGG16 to one.
SIZES = {"alexnet": (64, 96), "vgg16": (32, 48)}


def _train(make_arm, folder, model, **changes):
    small, large = SIZES[model]
    settings = {
        "epochs": 2,
        "dropout": 0.5,
        "learning_rate": 0.0001,
        "input_size": large,
        "progressive_resizing": {"epochs": 1, "input_size": small},
        **changes,
    }
    job = make_job(model=model, **settings)
    return job, *train_job(make_arm, job, folder)


@pytest.mark.parametrize("model", SIZES)
def test_the_twins_change_size_at_the_same_epoch_and_learn_alike(tmp_path, model):
    histories, logits = [], []
    for make_arm in (PyTorchArm, TensorFlowArm):
        job, arm, outcome = _train(make_arm, tmp_path / make_arm.__name__, model, keep="last")
        histories.append(outcome.history)
        logits.append(arm.logits(job.test.images))
    for history in histories:
        assert [row["input_size"] for row in history] == list(SIZES[model])
    for first, second in zip(*histories, strict=True):
        assert first["train_loss"] == pytest.approx(second["train_loss"], rel=1e-3)
    assert np.abs(logits[0] - logits[1]).max() < 0.02 * np.abs(logits[0]).max()


@ARMS
def test_an_epoch_of_small_images_is_judged_on_small_images(make_arm, tmp_path, monkeypatch):
    # The first epoch is kept, so the test split is to be seen as in that epoch.
    monkeypatch.setattr("twinbench.protocol.chosen_epoch", lambda history, keep: 1)
    job, arm, outcome = _train(make_arm, tmp_path, "vgg16")
    assert arm.input_size == 32
    loss, accuracy = job.evaluate(arm.logits, job.validation)
    assert loss == pytest.approx(outcome.history[0]["validation_loss"], rel=1e-5)
    assert accuracy == outcome.history[0]["validation_accuracy"]


def test_the_saved_keras_net_takes_both_sizes(tmp_path):
    job, arm, _ = _train(TensorFlowArm, tmp_path, "alexnet", keep="last")
    arm.save_model(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    for size in SIZES["alexnet"]:
        assert model(np.zeros((1, size, size, 3), np.float32)).shape == (1, job.classes)
