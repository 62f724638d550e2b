"""The TensorFlow backend, through Keras. Nothing here imports the other framework."""

import ctypes
import os
import sysconfig
from pathlib import Path

MODEL_SUFFIX = "keras"
# The wheel has code for 6.0 to 9.0, but cuDNN from 9.11 on for none before 7.5. For newer GPUs TensorFlow
# would compile its code for 9.0 when it starts, which fails (tensorflow/tensorflow#101746).
SUPPORTED_GPUS = ((7, 5), (9, 0))

# All read when tensorflow and keras are imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
# No notices of the C++ side, such as the lack of a GPU on each start: what matters raises in Python.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow itself hides these only once its logging is set up, late in its import.
_HIDDEN = {"1": "I", "2": "IW", "3": "IWE"}.get(os.environ["TF_CPP_MIN_LOG_LEVEL"])
NOTICES = rf"WARNING: All log messages before absl::|[{_HIDDEN}]\d{{4}} " if _HIDDEN else None
# Keras' plots and wrappers; their import takes more than a second of each job's start.
NOT_USED = ("matplotlib", "sklearn")
# oneDNN's kernels, as torch uses: by default TensorFlow takes them on some processors only. On a Zen 3
# (no AVX-512) they make a training step 1.9 times as fast.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# TensorFlow 2.21 searches the folders of the CUDA wheels, but not cuSOLVER's, and uses no GPU if one of
# the libraries cannot be loaded. One that is loaded already is found by its name.
_CUSOLVER = Path(sysconfig.get_path("platlib"), "nvidia/cusolver/lib/libcusolver.so.11")
if _CUSOLVER.exists():
    ctypes.CDLL(str(_CUSOLVER))
