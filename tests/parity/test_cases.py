"""What the parity suite measures of a study: each network with its initial weights, once."""

from twinbench.config.study import Study
from twinbench.parity.cases import cases, parity_settings

SCRATCH = {"model": "alexnet32", "weights": "none"}
PRETRAINED = {"model": "vgg16", "weights": "imagenet"}


def cases_of(**runs):
    frameworks = {
        name: {"framework": name.split("_")[0], **settings} for name, settings in runs.items()
    }
    return cases(Study({"runs": frameworks, "report": {"reference": None}}))


def test_a_network_with_its_weights_is_one_case_however_many_runs_train_it():
    found = cases_of(pytorch_1=SCRATCH, tensorflow_1=SCRATCH, tensorflow_2=PRETRAINED)
    assert list(found) == ["alexnet32", "vgg16-imagenet"]
    assert found["vgg16-imagenet"].weights_id == "imagenet"


def test_runs_that_differ_in_other_settings_are_one_case_with_the_commonest_settings():
    rate = {"learning_rate": 0.1}
    found = cases_of(pytorch_1=SCRATCH, pytorch_2=SCRATCH | rate, pytorch_3=SCRATCH | rate)
    assert [case.training.learning_rate for case in found.values()] == [0.1]


def test_another_input_size_or_batch_normalisation_is_another_case():
    other = {"batch_normalisation": True}
    found = cases_of(pytorch_1=PRETRAINED, pytorch_2=PRETRAINED | {"input_size": 64})
    assert list(found) == ["vgg16-imagenet", "vgg16-imagenet-2"]
    assert len(cases_of(pytorch_1=SCRATCH, pytorch_2=SCRATCH | other)) == 2


def test_settings_that_the_suite_replaces_change_nothing():
    changes = {"epochs": 3, "batch_size": 64, "head": {"epochs": 1}, "selected_epoch": "last"}
    assert cases_of(pytorch_1=SCRATCH) == cases_of(pytorch_1=SCRATCH | changes)


def test_the_first_seed_is_measured():
    runs = {"run": {"framework": "pytorch", **SCRATCH}}
    study = Study({"runs": runs, "seeds": [5, 4], "report": {"reference": None}})
    assert parity_settings(study).seed == 5
