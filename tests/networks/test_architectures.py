"""A table of layers that makes no network is refused in one line, and says what its images must have."""

import pytest
from twinbench.errors import InputError
from twinbench.networks.architectures import (
    ARCHITECTURES,
    Architecture,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    MaxPooling,
)

CONVOLUTION, POOLING = Convolution("conv1", 8, 3, padding=1), MaxPooling("pool1", 2, 2)
FLATTEN, DENSE = Flatten("flatten"), Dense("dense1", 32)


def network(*layers, size: int = 32) -> Architecture:
    return Architecture("small", "Small", layers, size)


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ((CONVOLUTION, DENSE), "one Flatten"),
        ((), "one Flatten"),
        ((FLATTEN, Flatten("again")), "one Flatten"),
        ((CONVOLUTION, FLATTEN, POOLING), "one Flatten"),
        ((CONVOLUTION, Dropout("dropout1"), FLATTEN), "one Flatten"),
        ((CONVOLUTION, CONVOLUTION, FLATTEN), "'conv1' cannot be a layer's name"),
        ((Convolution("conv.1", 8, 3), FLATTEN), "'conv.1' cannot be"),
        ((FLATTEN, Dense("head", 8)), "'head' cannot be"),
        ((CONVOLUTION, Convolution("conv1_relu", 8, 3), FLATTEN), "'conv1_relu' cannot be"),
        ((MaxPooling("pool1", 2, 0), FLATTEN), "stride of pool1 is 0"),
        ((FLATTEN, Dense("dense1", 0)), "units of dense1 is 0"),
        ((Convolution("conv1", 8, 3, padding="same"), FLATTEN), "padding of conv1 is 'same'"),
        ((Convolution("conv1", 8, (3, 3)), FLATTEN), "kernel_size of conv1 is .*whole number"),
        ((Convolution("conv1", 8, 33), FLATTEN), "the output of conv1 is empty"),
        ((*(MaxPooling(f"pool{n}", 2, 2) for n in range(6)), FLATTEN), "the output of pool5 is"),
    ],
)
def test_a_table_that_makes_no_network_is_refused(layers, problem):
    with pytest.raises(InputError, match=f"network small: .*{problem}"):
        network(*layers)


@pytest.mark.parametrize("size", [16, "32", None])
def test_images_of_fewer_than_32_pixels_are_refused(size):
    with pytest.raises(InputError, match="input_size is no number of pixels from 32 on"):
        network(CONVOLUTION, FLATTEN, size=size)


def test_the_smallest_images_follow_from_the_table():
    smallest = {"alexnet32": 32, "alexnet": 63, "vgg16": 32}
    assert {name: ARCHITECTURES[name].smallest_input for name in smallest} == smallest
    assert network(Convolution("conv1", 8, 40), FLATTEN, DENSE, size=64).smallest_input == 40
