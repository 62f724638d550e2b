"""What each framework says of the GPU that it computes on."""

from importlib import import_module

import pytest
from support import make_job
from twinbench.backends.pytorch.accelerator import dotted
from twinbench.config.study import BACKENDS


@pytest.mark.parametrize("framework", BACKENDS)
def test_the_accelerator_is_what_the_backend_computes_on(framework):
    backend, accelerator = (
        import_module(f"twinbench.backends.{framework}.{module}")
        for module in ("backend", "accelerator")
    )
    found = accelerator.accelerator()
    assert (found.name if found else "cpu") == backend.Backend(make_job()).device


@pytest.mark.parametrize(
    ("version", "expected"),
    [(None, None), (8902, "8.9.2"), (90100, "9.1.0"), (91002, "9.10.2"), (92400, "9.24.0")],
)
def test_cudnns_version_is_told_with_dots(version, expected):
    assert dotted(version) == expected
