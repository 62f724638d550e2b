"""The interpreter of each backend: that of its own environment, where it has one.

On a machine with a GPU `make .venv` installs TensorFlow a second time, into `.venv/tensorflow`: its
cuDNN and NCCL, for CUDA 12, have the file names of PyTorch's, for CUDA 13, so one environment cannot
hold both. Elsewhere, and in conda's environments and containers, there is no such folder, and every
job stays in the environment that it was started in.

Only the standard library is imported here, so that the second start costs little.
"""

import os
import sys
from pathlib import Path


def enter(option: str) -> None:
    """Start this process anew in the environment of the backend that the argument `option` names.

    It keeps its process identifier, arguments and variables. Does nothing if the backend has no
    environment of its own within this one.
    """
    backend = _argument(option)
    python = Path(sys.prefix, backend, "bin", "python")
    # Not for "" or ".", which would lead to this interpreter again, without end.
    if backend.isidentifier() and python.exists():
        if before := os.environ.get("LD_LIBRARY_PATH"):
            # Its own CUDA libraries first: a CUDA that a cluster's module has loaded is another version.
            own = map(str, python.parents[1].glob("lib/python3*/site-packages/nvidia/*/lib"))
            os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([*sorted(own), before])
        os.execv(python, [str(python), *sys.orig_argv[1:]])


def _argument(option: str) -> str:
    """The value of an argument `option=value` or `option value`, "" if there is none."""
    for word, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        name, separator, value = word.partition("=")
        if name == option:
            return value if separator else following
    return ""
