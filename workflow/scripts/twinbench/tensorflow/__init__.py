"""The TensorFlow/Keras arm. Imports tensorflow and keras, and nothing of the other framework."""

import os

# Read when tensorflow is imported: warnings and errors only, no notices about the processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
