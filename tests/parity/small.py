"""A net of few weights with all that twins could get wrong, and its measurements."""

from dataclasses import replace

import numpy as np
from support import make_job
from twinbench import parity
from twinbench.analysis import audit, ladder
from twinbench.architecture import Architecture, Convolution, Dense, Dropout, Flatten, MaxPooling

SMALL = Architecture(
    name="small",
    title="A small net",
    layers=(
        Convolution("conv1", 6, 3, padding=1),
        MaxPooling("pool1", 2, 2),
        Convolution("conv2", 8, 5, stride=2, padding=2),
        Flatten("flatten"),
        Dropout("dropout1"),
        Dense("dense1", 24),
        Dropout("dropout2"),
        Dense("dense2", 16),
    ),
    normalisation="caffe",
    input_size=32,
    smallest_input=32,
    pretrained=True,
)
STEPS = 25


def small_job(**changes):
    settings = {
        "batch_size": 8,
        "epochs": 3,
        "dropout": 0.0,
        "learning_rate": 0.3,  # of which the loss curve takes 0.003
        "optimiser": {"weight_decay": 0.1},
        "rate_factors": {"conv": 0.5},
        "augmentation": {"rotation_degrees": 20, "shift_fraction": 0.2},
    }
    job = make_job(images=80, **{**settings, **changes})
    return replace(job, architecture=SMALL)


def measured(framework: str, job, make_arm, trained=None, library=None):
    """The measurement of one framework, and the weights that it trained."""
    quantities, after = parity.measure(job, make_arm, trained, STEPS)
    if library:
        quantities |= parity.measure_library(job, make_arm, library, None)
    told = parity.describe(job, job.settings, make_arm)
    measurement = ladder.Measurement(
        framework,
        ["small"],
        {f"small:{name}": np.array(value) for name, value in quantities.items()},
        {"small": {name: [setting.value, setting.own] for name, setting in told.items()}},
    )
    return measurement, after


def failed_rungs(first, second) -> list[str]:
    table = ladder.compare([first, second])
    return list(table.loc[~table["passed"], "rung"])


def missed_settings(first, second) -> list[str]:
    table = audit.table([first, second])
    return list(table.loc[table["status"] == audit.UNACCOUNTED, "setting"])
