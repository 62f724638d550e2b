"""Both frameworks in one process, as they never are in a job."""

import pytest
import torchvision  # noqa: F401, before TensorFlow: imported after it, it crashes

# isort: split
import tensorflow as tf
from twinbench.backends.pytorch.backend import Backend as PyTorch
from twinbench.backends.tensorflow.backend import Backend as TensorFlow

# As the backend sets them, since TensorFlow takes them only before its first operation.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

EACH_FRAMEWORK = pytest.mark.parametrize(
    "make_backend", [PyTorch, TensorFlow], ids=["pytorch", "tensorflow"]
)
