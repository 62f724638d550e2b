"""What a training starts from."""

import dataclasses

import numpy as np
import pytest
from support import make_job


def _pretrained(job):
    """The job with weights of its net from elsewhere, a head of other classes among them."""
    weights = {name: value + 1 for name, value in job.initial_weights().items()}
    weights |= {"head/kernel": np.ones((512, 20)), "head/bias": np.ones(20)}
    return dataclasses.replace(job, pretrained=weights)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({"epochs": 1}, "zeros"),
        ({"epochs": 0}, "random"),
        ({"epochs": 1, "initialisation": "random"}, "random"),
        ({"epochs": 0, "initialisation": "zeros"}, "zeros"),
    ],
)
def test_a_head_starts_at_zero_where_it_is_trained_alone_at_first_or_as_told(head, expected):
    job = _pretrained(make_job(model="vgg16", head=head))
    weights = job.initial_weights()
    assert weights["head/kernel"].shape == (512, 10)
    assert weights["head/kernel"].any() == (expected == "random")
    assert not weights["head/bias"].any()


def test_pretrained_weights_are_those_below_the_head():
    job = _pretrained(make_job(model="vgg16"))
    weights = job.initial_weights()
    below = [name for name in weights if not name.startswith("head/")]
    assert len(below) == 26
    assert all(weights[name] is job.pretrained[name] for name in below)
