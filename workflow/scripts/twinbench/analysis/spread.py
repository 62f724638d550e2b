"""What is known of the spread between trainings that differ in their seed alone, and from where.

Verdicts lean on it, since a study of few seeds can hardly see it.
"""

from collections.abc import Collection

import numpy as np
from scipy import special

from twinbench.analysis.reading import Provenance
from twinbench.analysis.statistics import SIGNIFICANCE, Spread
from twinbench.recipe.epoch_plan import steps_per_epoch

# Jordan 2024, "On the Variance of Neural Network Training with respect to Test Sets and Distributions",
# ICLR 2024, arXiv:2304.01910: 60,000 trainings on CIFAR-10 have a standard deviation of 0.5 percentage
# points after 4 epochs, 0.1 after 16 and 0.03 after 64.
PUBLISHED = Spread(std=0.005, degrees_of_freedom=4)
# Six runs from scratch of three epochs and three seeds in this project (docs/example: defaults,
# pretrained-alexnet) have standard deviations of 0.46 to 2.48 percentage points, 1.4 by the mean of their
# variances. Of their 12 degrees of freedom 8 count: these variances are unequal, and twins of one seed are
# not independent. Four short fine-tunings (pretrained-alexnet, pretrained-vgg16-seeds) have 0.38 to 0.58,
# so for these the published spread counts.
SHORT_FROM_SCRATCH = Spread(std=0.014, degrees_of_freedom=8)
_SHORT_EPOCHS, _SHORT_STEPS = 4, 1000
# In their first steps trainings differ wildly. From scratch, over five seeds: the demo's runs of 66 steps
# have 5.1 and 4.4 percentage points, the default recipe on 2,000 images, 140 steps, 1.9; 4.0 by the mean of
# their variances. For all of fewer steps than any of the runs above had.
HARDLY_TRAINED = Spread(std=0.04, degrees_of_freedom=4)
FEWEST_STEPS = 200
# Of the default study's scratch recipe on all images: five seeds in PyTorch and five in Keras have a standard
# deviation of 0.27 percentage points (`measured_spread`, both variances averaged; 95 % interval 0.10 to 0.63;
# docs/example/twins), with 8 degrees of freedom. Pooled with PUBLISHED, since ten trainings hardly know their
# spread: sqrt((4 * 0.5**2 + 8 * 0.27**2) / 12).
DEFAULT_SCRATCH = Spread(std=0.0036, degrees_of_freedom=12)
_DEFAULT_IMAGES = 45_000
# The settings of that recipe, of those that could change the spread.
DEFAULT_SETTINGS = {
    "protocol": "harmonised",
    "epochs": 10,
    "batch_size": 128,
    "optimiser": {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7, "weight_decay": 0.3},
    "learning_rate": 0.002,
    "schedule": {"shape": "linear", "warmup_fraction": 0.1, "final_fraction": 0.0},
    "dropout": 0.3,
    "label_smoothing": 0.1,
    "batch_normalisation": False,
    "augmentation": {
        "rotation_degrees": 0.0,
        "shift_fraction": 0.1,
        "whole_pixels": True,
        "scale_fraction": 0.0,
        "horizontal_flip": True,
        "fill": "nearest",
    },
    "input_size": None,
    "head": {"epochs": 0, "learning_rate": 0.001, "initialisation": "auto"},
    "frozen": [],
    "learning_rate_multipliers": {"dense": 0.25},
    "early_stopping": {"patience": None},
    "reduce_on_plateau": {"patience": None, "factor": 0.5},
}


def known_spread(provenances: Collection[Provenance]) -> Spread:
    """The spread of one method's trainings, of which these are some."""
    if all(map(_of_default_recipe, provenances)):
        return DEFAULT_SCRATCH
    if any(steps(found) < FEWEST_STEPS for found in provenances):
        return HARDLY_TRAINED
    return SHORT_FROM_SCRATCH if any(map(_short_from_scratch, provenances)) else PUBLISHED


def steps(provenance: Provenance) -> int:
    """How many steps a training took."""
    batch_size = provenance.settings["batch_size"]
    return provenance.epochs_run * steps_per_epoch(provenance.dataset.train_images, batch_size)


def _short_from_scratch(provenance: Provenance) -> bool:
    short = provenance.epochs_run <= _SHORT_EPOCHS or steps(provenance) <= _SHORT_STEPS
    return short and provenance.weights.source == "none"


def _of_default_recipe(provenance: Provenance) -> bool:
    """Whether a training is one of the default study's from scratch, on all images."""
    return (
        provenance.model == "alexnet32"
        and provenance.weights.source == "none"
        and provenance.dataset.kind == "cifar10"
        and provenance.dataset.train_images >= _DEFAULT_IMAGES
        and provenance.settings.items() >= DEFAULT_SETTINGS.items()
    )


def measured_spread(correct: np.ndarray) -> tuple[float, float, float]:
    """The standard deviation of one run's accuracies on endless test images, a fraction, and its 95 %
    interval, from what its seeds got right: bool (seeds, images), of two seeds and more.

    Jordan 2024 (above), theorem 2: the variance over the seeds of the accuracy on these images, less
    what the choice of so many images makes of it. An estimate of 0 means: no more than that choice.
    """
    seeds, images = correct.shape
    observed = correct.mean(axis=1).var(ddof=1)
    of_images = correct.var(axis=0, ddof=1).sum() / images**2
    freedom = seeds - 1
    # By a chi-squared for the observed variance; the other one is a mean over many images.
    ends = special.chdtri(freedom, [SIGNIFICANCE / 2, 1 - SIGNIFICANCE / 2])
    variances = observed * freedom / np.array([freedom, *ends]) - of_images
    std, low, high = np.sqrt(images / (images - 1) * variances.clip(min=0))
    return float(std), float(low), float(high)
