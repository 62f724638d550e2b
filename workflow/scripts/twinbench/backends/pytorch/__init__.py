"""The PyTorch backend. Nothing here imports the other framework."""

import os

MODEL_SUFFIX = "safetensors"

# Read when CUDA starts: without it cuBLAS may sum in another order from run to run.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
