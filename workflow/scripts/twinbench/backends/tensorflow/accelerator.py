"""The GPU that TensorFlow computes on."""

import ctypes

import tensorflow as tf

from twinbench.provenance import Accelerator, dotted_cuda, dotted_cudnn


def accelerator() -> Accelerator | None:
    """The GPU and the libraries through which TensorFlow uses it; None on the CPU."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return None
    details = tf.config.experimental.get_device_details(devices[0])
    capability = details.get("compute_capability")
    build = tf.sysconfig.get_build_info()
    return Accelerator(
        name=details.get("device_name", "gpu"),
        compute_capability=".".join(map(str, capability)) if capability else None,
        cuda=cuda_version(f"libcudart.so.{_major(build.get('cuda_version'))}"),
        cudnn=cudnn_version(f"libcudnn.so.{_major(build.get('cudnn_version'))}"),
    )


# TensorFlow knows what it was built for alone. A library that it has loaded is found by its name.


def cuda_version(name: str) -> str | None:
    """The version of a CUDA runtime, such as 12.9; None if there is none of this name."""
    version, library = ctypes.c_int(), _library(name)
    if library is None or library.cudaRuntimeGetVersion(ctypes.byref(version)) != 0:
        return None
    return dotted_cuda(version.value)


def cudnn_version(name: str) -> str | None:
    """The version of a cuDNN, such as 9.28.0; None if there is none of this name."""
    library = _library(name)
    if library is None:
        return None
    library.cudnnGetVersion.restype = ctypes.c_size_t
    return dotted_cudnn(library.cudnnGetVersion())


def _major(version: str | None) -> str:
    return (version or "").partition(".")[0]


def _library(name: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None
