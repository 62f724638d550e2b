"""The NumPy backend: a whole backend in few lines, added by new files alone."""

MODEL_SUFFIX = "safetensors"
