"""What each framework says of the GPU that it computes on."""

import subprocess
import sys
import sysconfig
from importlib import import_module, metadata
from pathlib import Path

import pytest
import tensorflow as tf
import torch
from support import SCRIPTS, make_job
from twinbench.backends import supported_gpus
from twinbench.config.study import BACKENDS
from twinbench.provenance import dotted_cuda, dotted_cudnn


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
    assert dotted_cudnn(version) == expected


@pytest.mark.parametrize(
    ("version", "expected"), [(11080, "11.8"), (12090, "12.9"), (13000, "13.0")]
)
def test_cudas_version_is_told_with_dots(version, expected):
    assert dotted_cuda(version) == expected


# Loads the libraries as TensorFlow does, then asks them by their names.
ASKING = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
from twinbench.backends.tensorflow.accelerator import cuda_version, cudnn_version
assert cuda_version("libcudart.so.99") is None and cudnn_version("libcudnn.so.99") is None
loaded = [ctypes.CDLL(path) for path in sys.argv[2:]]
print(cuda_version("libcudart.so.13"), cudnn_version("libcudnn.so.9"))
"""


def test_the_versions_of_cuda_and_cudnn_are_those_of_the_loaded_libraries():
    """Here PyTorch's, which need no GPU to say what they are."""
    folder = Path(sysconfig.get_path("platlib"), "nvidia")
    libraries = [
        next(folder.glob(f"*/lib/{name}")) for name in ("libcudart.so.13", "libcudnn.so.9")
    ]
    command = [sys.executable, "-c", ASKING, SCRIPTS, *libraries]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    wanted = [metadata.version(f"nvidia-{name}") for name in ("cuda-runtime", "cudnn-cu13")]
    assert [each.split(".")[:2] for each in found] == [each.split(".")[:2] for each in wanted]


def covers(supported, built):
    """Whether code for an architecture such as sm_86 is for GPUs that are called supported."""
    number = int(built.partition("_")[2])
    return supported[0] <= divmod(number, 10) <= supported[1]


def test_the_gpus_called_supported_are_those_that_the_wheels_have_code_for():
    torch_gpus, tensorflow_gpus = map(supported_gpus, ("pytorch", "tensorflow"))
    built = torch.cuda.get_arch_list()
    assert all(covers(torch_gpus, each) for each in built)
    assert {f"sm_{major}{minor}" for major, minor in [torch_gpus[0]]} <= set(built)
    assert f"sm_{torch_gpus[1][0]}0" in built
    built = tf.sysconfig.get_build_info()["cuda_compute_capabilities"]
    assert any(covers(tensorflow_gpus, each) for each in built)
    assert max(built, key=lambda each: int(each.partition("_")[2])) == "compute_90"
