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
    ("initialisation", "from_scratch", "pretrained"),
    [("auto", "random", "zeros"), ("random", "random", "random"), ("zeros", "zeros", "zeros")],
)
def test_the_head_starts_at_random_or_at_zero_as_the_settings_say(
    initialisation, from_scratch, pretrained
):
    job = make_job(model="vgg16", head={"initialisation": initialisation})
    for start, expected in [(job, from_scratch), (_pretrained(job), pretrained)]:
        kernel = start.initial_weights()["head/kernel"]
        assert kernel.shape == (512, 10)
        assert kernel.any() == (expected == "random")
        assert not start.initial_weights()["head/bias"].any()


def test_pretrained_weights_are_those_below_the_head():
    job = _pretrained(make_job(model="vgg16"))
    weights = job.initial_weights()
    below = [name for name in weights if not name.startswith("head/")]
    assert len(below) == 26
    assert all(weights[name] is job.pretrained[name] for name in below)
