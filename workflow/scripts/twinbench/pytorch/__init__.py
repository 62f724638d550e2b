"""The PyTorch arm. Imports torch, and nothing of the other framework."""

import os

# Read when CUDA starts: without it cuBLAS may sum in another order from run to run.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
