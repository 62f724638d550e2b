"""An epoch's plan: a function of seed and epoch alone, and complete."""

from dataclasses import replace

import numpy as np
import pytest
from support import make_job
from twinbench.errors import InputError
from twinbench.recipe.augmentation import augmentation_matrices
from twinbench.recipe.dropout import dropout_keys
from twinbench.recipe.epoch_plan import sample_order
from twinbench.recipe.schedule import learning_rate

JOB = make_job(images=53, epochs=4, head={"epochs": 1}, dropout=0.5)


def plan(epoch, job=JOB, scale=1.0):
    phase = next(p for p in job.phases if p.first_epoch <= epoch <= p.last_epoch)
    return job.plan(phase, epoch, scale)


def arrays(found):
    return [found.order, found.matrices, found.dropout_keys]


def test_a_plan_has_its_documented_shapes_and_types():
    found = plan(2)
    assert found.steps == 3
    for array, shape, dtype in (
        (found.order, (3, 16), np.int64),
        (found.matrices, (3, 16, 2, 3), np.float32),
        (found.learning_rates, (3,), np.float64),
        (found.dropout_keys, (3, 2, 2), np.int32),
        (found.step_seeds, (0,), None),  # native runs alone have them
    ):
        assert array.shape == shape
        assert dtype is None or array.dtype == dtype


def test_a_plan_is_put_together_from_the_recipes_functions():
    found, phase = plan(3, scale=0.5), JOB.phases[1]
    settings = JOB.settings
    expected = augmentation_matrices(1, 3, 48, 32, 32, settings.augmentation)
    assert np.array_equal(found.order, sample_order(1, 3, 53, 16))
    assert np.array_equal(found.matrices.reshape(48, 2, 3), expected)
    rates = [learning_rate(phase, 3, step, 3, settings.schedule) for step in range(3)]
    assert np.array_equal(found.learning_rates, 0.5 * np.array(rates))
    assert np.array_equal(found.dropout_keys, dropout_keys(1, 3, 3, 2))


def test_an_epochs_plan_depends_on_seed_and_epoch_and_on_nothing_before():
    first = arrays(plan(3))
    plan(1), plan(2)
    assert all(map(np.array_equal, first, arrays(plan(3))))
    for other in (arrays(plan(4)), arrays(plan(3, replace(JOB, seed=2)))):
        assert not any(map(np.array_equal, first, other))


def test_native_plans_have_a_seed_for_each_step():
    native = replace(JOB, settings=JOB.settings.changed(protocol="native"))
    seeds = np.concatenate([plan(epoch, native).step_seeds for epoch in (1, 2)])
    assert len(set(seeds.tolist())) == 6


def test_an_epoch_shows_each_image_at_most_once():
    order = sample_order(1, 1, 103, 10)
    assert order.shape == (10, 10)
    assert len(np.unique(order)) == 100


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match=r"training\.batch_size: 64\b.*\b20\b"):
        sample_order(1, 1, 20, 64)
