"""The GPU that TensorFlow computes on."""

import tensorflow as tf

from twinbench.provenance import Accelerator


def accelerator() -> Accelerator | None:
    """The GPU, and the versions that TensorFlow was built for; None on the CPU."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return None
    details = tf.config.experimental.get_device_details(devices[0])
    capability = details.get("compute_capability")
    build = tf.sysconfig.get_build_info()
    return Accelerator(
        name=details.get("device_name", "gpu"),
        compute_capability=".".join(map(str, capability)) if capability else None,
        cuda=build.get("cuda_version"),
        cudnn=build.get("cudnn_version"),
    )
