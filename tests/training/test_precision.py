"""The precision of a training: as set, or what a measurement finds faster."""

import time

import pytest
from arms import ARMS
from support import make_job
from twinbench.precision import choose
from twinbench.pytorch.arm import PyTorchArm
from twinbench.tensorflow.arm import TensorFlowArm


def _takes(**seconds):
    """Products that take so long."""
    return lambda dtype, side: lambda: time.sleep(seconds[dtype])


@pytest.mark.parametrize(
    ("bfloat16", "chosen"), [(0.001, "bfloat16"), (0.0095, "float32"), (0.03, "float32")]
)
def test_auto_takes_bfloat16_where_it_is_clearly_faster(bfloat16, chosen):
    found = choose("auto", _takes(float32=0.01, bfloat16=bfloat16))
    assert found.name == chosen
    assert found.gflops["float32"] == pytest.approx(2 * 1024**3 / 0.01 / 1e9, rel=0.5)


def test_what_delays_a_few_products_in_a_row_does_not_decide():
    """As other work on the machine does: bfloat16 is ten times as fast, but for one short time."""
    taken = 0
    look = 42  # products of a look: a first one and twenty more, of each precision

    def product(seconds):
        def multiply():
            nonlocal taken
            taken += 1
            time.sleep(0.02 if 5 < taken % look < 20 else seconds)

        return multiply

    found = choose("auto", lambda dtype, side: product({"float32": 0.01, "bfloat16": 0.001}[dtype]))
    assert found.name == "bfloat16"


def test_an_emulated_bfloat16_is_not_waited_for():
    """Its large products would take seconds each."""
    sides = []

    def multiply(dtype, side):
        sides.append(side)
        return lambda: time.sleep(0.05 if dtype == "bfloat16" else 0.001)

    assert choose("auto", multiply).name == "float32"
    assert max(sides) < 1024


def test_a_set_precision_is_not_measured():
    assert choose("bfloat16", None).gflops == {}


@ARMS
def test_an_arm_measures_products_on_its_device(make_arm):
    arm = make_arm(make_job(precision="auto"))
    assert set(arm.precision.gflops) == {"float32", "bfloat16"}
    assert all(gflops > 0.1 for gflops in arm.precision.gflops.values())
    assert arm.precision.name in str(arm.precision)


def test_twins_take_the_same_precision_here():
    names = {
        make(make_job(precision="auto")).precision.name for make in (PyTorchArm, TensorFlowArm)
    }
    assert len(names) == 1
