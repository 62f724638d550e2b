"""Which spread between trainings verdicts lean on."""

import pytest
import yaml
from false_winners import ALL, FEW, SHORT, provenance
from support import ROOT
from twinbench.analysis.spread import (
    DEFAULT_SCRATCH,
    DEFAULT_SETTINGS,
    HARDLY_TRAINED,
    PUBLISHED,
    SHORT_FROM_SCRATCH,
    known_spread,
)
from twinbench.config.study import Study

DEFAULT = provenance(images=ALL)


def changed(**settings):
    return DEFAULT.model_copy(update={"settings": DEFAULT.settings | settings})


def test_the_measured_one_is_that_of_the_default_recipe():
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    study = Study(config | {"report": {"reference": None}})
    for run in ("pytorch-scratch", "tensorflow-scratch"):
        assert study.training(run).model_dump().items() >= DEFAULT_SETTINGS.items()
    assert known_spread([DEFAULT, provenance(images=ALL, framework="keras")]) == DEFAULT_SCRATCH


@pytest.mark.parametrize(
    "other",
    [
        provenance(images=FEW),
        provenance(11, ALL),
        provenance(images=ALL, model="vgg16"),
        provenance(images=ALL, weights="imagenet"),
        changed(protocol="native"),
        changed(learning_rate=0.02),
        DEFAULT.model_copy(
            update={"dataset": DEFAULT.dataset.model_copy(update={"source": "synthetic"})}
        ),
        DEFAULT.model_copy(
            update={"dataset": DEFAULT.dataset.model_copy(update={"class_names": ["a", "b"]})}
        ),
    ],
    ids=[
        *(
            "fewer images",
            "other epochs",
            "another network",
            "pretrained",
            "native",
            "another rate",
        ),
        "synthetic images",
        "own images",
    ],
)
def test_with_any_other_run_it_is_the_published_one(other):
    assert known_spread([DEFAULT, other]) == PUBLISHED


@pytest.mark.parametrize("short", [provenance(SHORT, ALL), provenance(images=FEW // 2)])
def test_short_trainings_from_scratch_spread_more(short):
    assert known_spread([DEFAULT, short]) == SHORT_FROM_SCRATCH


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_what_has_hardly_begun_spreads_most(weights):
    few = provenance(images=2500, weights=weights)
    assert known_spread([DEFAULT, few]) == HARDLY_TRAINED
    assert known_spread([provenance(images=2600)]) == SHORT_FROM_SCRATCH


def test_short_fine_tunings_do_not():
    assert known_spread([provenance(SHORT, FEW, weights="imagenet")]) == PUBLISHED
