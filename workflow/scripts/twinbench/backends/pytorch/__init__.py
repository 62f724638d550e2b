"""The PyTorch backend. Nothing here imports the other framework."""

import os

MODEL_SUFFIX = "safetensors"
# The wheel's torch.cuda.get_arch_list(): code for one runs on newer minor versions too.
SUPPORTED_GPUS = ((7, 5), (12, 1))

# Read when CUDA starts: without it cuBLAS may sum in another order from run to run.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
