"""Every random quantity and the schedule keep the values with which published results were made.

`golden.json` was written by the code of those results. Integers are compared exactly; floats may differ
in the last digits, since mathematical functions vary between processors.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from support import training_settings
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.recipe.augmentation import augmentation_matrices
from twinbench.recipe.dropout import dropout_keys, dropout_mask
from twinbench.recipe.epoch_plan import sample_order
from twinbench.recipe.initial_weights import initial_weights
from twinbench.recipe.randomness import step_seed
from twinbench.recipe.schedule import learning_rate, phases

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
SEED, EPOCH = 7, 3
SHIFTS_ALONE = {"rotation_degrees": 0, "scale_fraction": 0, "whole_pixels": True}


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def close(values: np.ndarray, expected: list[float]) -> bool:
    return np.allclose(np.ravel(values), expected, rtol=1e-6, atol=1e-7)


def test_sample_order():
    order = sample_order(SEED, EPOCH, 1000, 16)
    assert order[0].tolist() == GOLDEN["sample_order"]["first_step"]
    assert sha256(order) == GOLDEN["sample_order"]["sha256"]


@pytest.mark.parametrize(
    ("name", "output_size", "changes"),
    [
        ("augmentation_matrices", 48, {}),
        ("augmentation_matrices_whole_pixels", 32, SHIFTS_ALONE),
    ],
)
def test_augmentation_matrices(name, output_size, changes):
    settings = training_settings(augmentation={"scale_fraction": 0.2, **changes}).augmentation
    matrices = augmentation_matrices(SEED, EPOCH, 64, 32, output_size, settings)
    assert close(matrices[0], GOLDEN[name]["first"])
    assert close(matrices[-1], GOLDEN[name]["last"])


def test_dropout_mask():
    keys = dropout_keys(SEED, EPOCH, steps=10, layers=2)
    kept = dropout_mask(keys[5, 1], (8, 64), 0.3) > 0
    assert kept.sum() == GOLDEN["dropout_mask"]["kept"]
    assert sha256(np.packbits(kept)) == GOLDEN["dropout_mask"]["sha256_of_bits"]


@pytest.mark.parametrize("network", GOLDEN["initial_weights"])
def test_initial_weights(network):
    weights = initial_weights(SEED, ARCHITECTURES[network].with_head(10), 32, False)
    for layer, expected in GOLDEN["initial_weights"][network].items():
        assert close(weights[f"{layer}/kernel"].ravel()[[0, 1, -1]], expected), layer


def test_step_seeds_of_native_runs():
    seeds = [step_seed(SEED, EPOCH, step) for step in range(len(GOLDEN["step_seeds"]))]
    assert seeds == GOLDEN["step_seeds"]


def test_learning_rates():
    schedule = {"shape": "cosine", "warmup_fraction": 0.2, "final_fraction": 0.1}
    settings = training_settings(
        epochs=5, learning_rate=0.002, head={"epochs": 1}, schedule=schedule
    )
    for phase in phases(settings, ARCHITECTURES["vgg16"]):
        epochs = range(phase.first_epoch, phase.last_epoch + 1)
        rates = [
            learning_rate(phase, epoch, step, 4, settings.schedule)
            for epoch in epochs
            for step in range(4)
        ]
        assert close(rates, GOLDEN["learning_rates"][phase.name])
