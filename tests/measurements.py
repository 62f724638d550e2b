"""A tiny network measured by each framework, as the parity suite does, and what the comparison finds."""

from dataclasses import replace
from functools import cache
from importlib import import_module

import numpy as np
from support import TINY, TINY_RESIZABLE, make_job
from twinbench.parity import audit, comparing, measuring

PUBLISHED = replace(TINY, published=TINY_RESIZABLE.published)


def parity_job(architecture=TINY, pretrained=None, images=80, **changes):
    settings = {
        "batch_size": 8,
        "epochs": 3,
        "dropout": 0.0,
        "learning_rate": 0.3,  # of which the loss curve takes 0.003
        "optimiser": {"weight_decay": 0.1},
        "learning_rate_multipliers": {"conv": 0.5},
        "augmentation": {"rotation_degrees": 20, "shift_fraction": 0.2},
    }
    return make_job(architecture, images=images, pretrained=pretrained, **settings | changes)


def pretrained_job():
    """A job that starts from given weights, with the normalisation of published ones."""
    random = np.random.default_rng(5)
    weights = {
        name: random.normal(0, 0.1, value.shape).astype(np.float32)
        for name, value in parity_job().initial_weights().items()
        if not name.startswith("head/")
    }
    return parity_job(PUBLISHED, weights)


JOBS = {
    "plain": parity_job,
    "batch normalisation": lambda: parity_job(batch_normalisation=True),
    "no weight decay": lambda: parity_job(optimiser={"weight_decay": 0}),
    "bfloat16": lambda: parity_job(precision="bfloat16"),
    "a batch and a half": lambda: parity_job(images=12),
    "all layers frozen": lambda: parity_job(frozen=["conv", "dense", "head"]),
    "pretrained": pretrained_job,
}


def parity_backend(framework):
    return import_module(f"twinbench.backends.{framework}.parity").ParityBackend


def kerass_preprocessing(architecture, published, images, size):
    """Stands for a library; the features are those of the network that no test has changed."""
    import keras

    pixels = keras.applications.vgg16.preprocess_input(images.astype(np.float32))
    return measuring.LibraryReference(pixels, expected_features())


@cache
def expected_features():
    make = parity_backend("tensorflow")
    return measuring.measure_library(pretrained_job(), make, None, None)["features"]


def measure(framework, kind="plain"):
    """A framework's measurement of a job."""
    job, make = JOBS[kind](), parity_backend(framework)
    quantities = measuring.measure(job, make)
    if kind == "pretrained":
        library = kerass_preprocessing if framework == "tensorflow" else None
        quantities |= measuring.measure_library(job, make, library, None)
    settings = measuring.describe(job, job.settings, make)
    return comparing.Measurement(
        framework,
        ["tiny"],
        {f"tiny:{name}": np.array(value) for name, value in quantities.items()},
        {"tiny": {name: [found.value, found.own] for name, found in settings.items()}},
    )


@cache
def unchanged(framework, kind="plain"):
    """As `measure`, once for all tests that change nothing."""
    return measure(framework, kind)


def failed_checks(*measurements):
    table = comparing.compare(list(measurements))
    return list(table.loc[~table["passed"], "check"])


def unaccounted(*measurements):
    table = audit.table(list(measurements))
    return list(table.loc[table["status"] == audit.UNACCOUNTED, "setting"])
