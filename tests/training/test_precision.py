"""The precision of a training: as set, or what the hardware supports."""

import pytest
from frameworks import EACH_FRAMEWORK, PyTorch, TensorFlow
from support import make_job
from twinbench.training import precision


@pytest.mark.parametrize(
    ("capability", "flags", "expected"),
    [
        ((8, 0), set(), "bfloat16"),
        ((9, 0), set(), "bfloat16"),
        ((7, 5), {"amx_bf16"}, "float32"),  # with a GPU the processor does not count
        (None, {"avx2", "avx512_bf16"}, "bfloat16"),
        (None, {"amx_bf16"}, "bfloat16"),
        (None, {"avx2", "avx512f"}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_hardware_supports_it(capability, flags, expected, monkeypatch):
    monkeypatch.setattr(precision, "processor_flags", lambda: flags)
    assert precision.choose("auto", capability) == expected


@pytest.mark.parametrize("setting", ["float32", "bfloat16"])
def test_a_precision_that_is_set_is_used_whatever_the_hardware(setting):
    assert {precision.choose(setting, capability) for capability in (None, (7, 5), (9, 0))} == {
        setting
    }


def test_twins_take_the_same_precision_on_this_machine():
    job = make_job(precision="auto")
    assert PyTorch(job).precision == TensorFlow(job).precision


@EACH_FRAMEWORK
def test_in_bfloat16_weights_and_logits_stay_float32(make_backend):
    job = make_job(precision="bfloat16")
    backend = make_backend(job)
    assert backend.precision == "bfloat16"
    assert {value.dtype.name for value in backend.weights().values()} == {"float32"}
    assert backend.logits(job.test.images).dtype.name == "float32"
