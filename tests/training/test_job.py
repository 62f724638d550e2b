"""What a training starts from, and what its epochs cost."""

import numpy as np
import pytest
from support import TINY_RESIZABLE, make_job
from twinbench.errors import InputError


def pretrained(**changes):
    """A job with weights of its network but the head."""
    plain = make_job(TINY_RESIZABLE).initial_weights()
    weights = {n: value + 1 for n, value in plain.items() if not n.startswith("head/")}
    return make_job(TINY_RESIZABLE, pretrained=weights, **changes)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({"epochs": 1}, "zeros"),
        ({"epochs": 0}, "random"),
        ({"epochs": 1, "initialisation": "random"}, "random"),
        ({"epochs": 0, "initialisation": "zeros"}, "zeros"),
    ],
)
def test_the_head_starts_at_zero_where_it_is_trained_alone_at_first_or_as_set(head, expected):
    weights = pretrained(head=head).initial_weights()
    assert weights["head/kernel"].shape == (16, 10)
    assert weights["head/kernel"].any() == (expected == "random")
    assert not weights["head/bias"].any()


def test_all_layers_below_the_head_start_from_the_pretrained_weights():
    job = pretrained()
    below = {n: value for n, value in job.initial_weights().items() if not n.startswith("head/")}
    assert len(below) == 6
    assert all(value is job.pretrained[name] for name, value in below.items())


def test_pretrained_weights_of_another_shape_are_refused():
    with pytest.raises(InputError, match="conv1/bias"):
        make_job(pretrained={"conv1/bias": np.zeros(7)}).initial_weights()


@pytest.mark.parametrize(("published", "std"), [(True, [1, 1, 1]), (False, [63.75] * 3)])
def test_published_weights_bring_their_normalisation(published, std):
    job = pretrained() if published else make_job(TINY_RESIZABLE)
    assert job.normalisation.std == pytest.approx(std)
    assert job.normalisation.channels == ((2, 1, 0) if published else (0, 1, 2))


def test_epochs_of_the_head_and_of_small_images_cost_less():
    resizing = {"epochs": 2, "input_size": 32}
    job = make_job(
        TINY_RESIZABLE, epochs=4, input_size=64, head={"epochs": 1}, progressive_resizing=resizing
    )
    head, small, large, last = job.epoch_costs
    assert (small / head, large / small, last / large) == (3, 4, 1)
