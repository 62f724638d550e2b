"""The backends: what a framework contributes to a training, one folder each. See `backend`."""

from importlib import import_module


def model_suffix(backend: str) -> str:
    """The suffix of a backend's model files. No framework is imported."""
    return import_module(f"{__name__}.{backend}").MODEL_SUFFIX
