"""Which spread between trainings verdicts lean on."""

import pytest
from false_winners import ALL, FEW, SHORT, provenance
from twinbench.analysis.spread import DEFAULT_SCRATCH, SHORT_TRAININGS, TWINS, known_spread

DEFAULT = provenance(images=ALL)


def test_that_of_the_default_scratch_runs_is_the_measured_one():
    longer = provenance(20, ALL + 1, framework="tensorflow")
    assert known_spread(True, [DEFAULT, longer]) == DEFAULT_SCRATCH


@pytest.mark.parametrize(
    "other",
    [
        provenance(images=FEW),
        provenance(9, ALL),
        provenance(images=ALL, model="vgg16"),
        provenance(images=ALL, weights="imagenet"),
        provenance(images=ALL).model_copy(update={"settings": {"protocol": "native"}}),
    ],
    ids=["fewer images", "fewer epochs", "another network", "pretrained", "native"],
)
def test_with_any_other_run_it_is_the_published_one(other):
    assert known_spread(True, [DEFAULT, other]) == TWINS


def test_pairs_that_are_no_twins_never_have_the_measured_one():
    assert known_spread(False, [DEFAULT, DEFAULT]) == TWINS
    assert known_spread(False, [DEFAULT, provenance(SHORT, ALL)]) == SHORT_TRAININGS
