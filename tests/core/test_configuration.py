"""The config: defaults, overrides, and one clear line for each fault."""

import copy

import pytest
import yaml
from snakemake.utils import update_config
from support import ROOT, SCHEMA
from twinbench.configuration import Configuration, canonical
from twinbench.errors import InputError


@pytest.fixture
def configure(default_config, tmp_path):
    def make(changes: dict) -> Configuration:
        config = copy.deepcopy(default_config) | {"report": {"reference": None}}
        for path, value in changes.items():
            *parents, last = path.split(".")
            part = config
            for key in parents:
                part = part.setdefault(key, {})
            part[last] = value
        return Configuration(config, SCHEMA)

    return make


def test_the_default_study_is_four_runs_one_for_each_framework_and_start(configure):
    configuration = configure({})
    arms = {
        (configuration.framework(run), configuration.weights(run).source)
        for run in configuration.runs
    }
    assert arms == {
        (framework, weights)
        for framework in ("pytorch", "tensorflow")
        for weights in ("none", "imagenet")
    }


def test_a_run_overrides_the_studys_training_key_by_key(configure):
    configuration = configure(
        {"runs.pytorch-scratch.schedule": {"shape": "cosine"}, "training.epochs": 4}
    )
    own, other = (configuration.training(f"{f}-scratch") for f in ("pytorch", "tensorflow"))
    assert other["schedule"]["shape"] == "linear"
    assert own["schedule"] == {**other["schedule"], "shape": "cosine"}
    assert own["epochs"] == other["epochs"] == 4


def test_the_scratch_twins_have_the_same_settings(configure):
    configuration = configure({})
    assert configuration.training("pytorch-scratch") == configuration.training("tensorflow-scratch")


def test_the_overlay_without_confounding_keeps_the_default_recipe_of_each_net(
    default_config, configure
):
    default = configure({})
    overlay = yaml.safe_load((ROOT / "config" / "unconfounded.yaml").read_text())
    update_config(default_config, overlay)
    other = configure({})
    for net, run in (("alexnet", "pytorch-pretrained"), ("vgg16", "tensorflow-pretrained")):
        for framework in ("pytorch", "tensorflow"):
            assert other.training(f"{framework}-{net}") == default.training(run)


def test_a_run_takes_those_of_the_studys_rate_factors_that_are_of_its_layers(configure):
    configuration = configure(
        {
            "training.rate_factors": {"dense": 0.5, "block": 0.2},
            "runs.vgg": {"framework": "pytorch", "model": "vgg16", "weights": "none"},
        }
    )
    assert configuration.training("pytorch-scratch")["rate_factors"] == {"dense": 0.5}
    assert configuration.training("vgg")["rate_factors"] == {"block": 0.2}
    own = configuration.training("pytorch-pretrained")["rate_factors"]
    assert own == {"conv": 0.1, "dense": 0.2}


def test_canonical_text_does_not_depend_on_the_order_of_keys():
    assert canonical({"a": 1, "b": {"c": 2, "d": 3}}) == canonical({"b": {"d": 3, "c": 2}, "a": 1})
    assert canonical({"a": 1, "b": 2}) != canonical({"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("path", "value", "same"),
    [
        ("training.learning_rate", "1e-3", 0.001),
        ("training.learning_rate", 1, 1.0),
        ("runs.pytorch-scratch.learning_rate", "1e-3", 0.001),
        ("training.epochs", "3", 3),
        ("training.batch_normalisation", "true", True),
        ("training.augmentation", {"rotation_degrees": "15"}, {"rotation_degrees": 15.0}),
        ("runs.pytorch-scratch.rate_factors", {"conv": "0.5"}, {"conv": 0.5}),
        ("seeds", ["1", "2"], [1, 2]),
        ("dataset.limit", "null", None),
        ("dataset.archive", "null", None),
        ("runs.pytorch-scratch", "null", None),
    ],
)
def test_a_setting_written_in_another_way_is_the_same_setting(configure, path, value, same):
    # Whatever stands inside lists and groups after --config reaches the workflow as text.
    assert canonical(configure({path: value}).values) == canonical(configure({path: same}).values)


def test_null_takes_a_run_out(configure):
    assert "pytorch-scratch" not in configure({"runs.pytorch-scratch": None}).runs


def test_a_weights_file_is_known_by_its_bytes_not_its_name(configure, tmp_path):
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"
    for path in (first, second):
        path.write_bytes(b"weights")
    key = "runs.pytorch-pretrained.weights"
    assert (
        configure({key: str(first)}).weights("pytorch-pretrained").identity
        == configure({key: str(second)}).weights("pytorch-pretrained").identity
    )
    second.write_bytes(b"other")
    assert (
        configure({key: str(first)}).weights("pytorch-pretrained").identity
        != configure({key: str(second)}).weights("pytorch-pretrained").identity
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainin": {}}, "unknown key 'trainin'; did you mean 'training'?"),
        ({"training.learning_rte": 0.1}, "training: unknown key 'learning_rte'; did you mean"),
        ({"training.epochs": -3}, "training.epochs: -3 is too small; it must be at least 1"),
        ({"training.learning_rate": "fast"}, "training.learning_rate: 'fast' is not of type"),
        ({"training.learning_rate": "nan"}, "training.learning_rate: 'nan' is not of type"),
        ({"training.epochs": "2.5"}, "training.epochs: 2.5 is not of type 'integer'"),
        (
            {"runs.pytorch-scratch.framework": "pytorhc"},
            "runs.pytorch-scratch.framework: 'pytorhc' is none of pytorch, tensorflow; did you mean",
        ),
        (
            {"runs.pytorch-scratch.lerning_rate": 1},
            "runs.pytorch-scratch: unknown key 'lerning_rate'; did you mean 'learning_rate'?",
        ),
        (
            {"runs.pytorch-pretrained.weights": "imagnet"},
            "runs.pytorch-pretrained.weights: 'imagnet' is none of none, imagenet, proxy, and there "
            "is no such file; did you mean 'imagenet'?",
        ),
        (
            {"runs.pytorch-scratch.weights": "imagenet"},
            "runs.pytorch-scratch.weights: no pretrained weights exist for alexnet32",
        ),
        (
            {"runs.tensorflow-pretrained.frozen": ["blok"]},
            "runs.tensorflow-pretrained.frozen: no layer's name begins with 'blok'; vgg16 has",
        ),
        (
            {"training.rate_factors": {"blok": 0.1}},
            "training.rate_factors: no net has a layer whose name begins with 'blok'",
        ),
        (
            {"runs.pytorch-pretrained.input_size": 48},
            "runs.pytorch-pretrained.input_size: 48 is too",
        ),
        (
            {"training.progressive_resizing": {"epochs": 1}},
            "runs.pytorch-scratch.progressive_resizing: alexnet32 takes images of one size alone",
        ),
        (
            {"runs.pytorch-pretrained.progressive_resizing": {"epochs": 1, "input_size": 48}},
            "runs.pytorch-pretrained.progressive_resizing.input_size: 48 is too small for alexnet",
        ),
        ({"runs.other": {"framework": "pytorch"}}, "runs.other: model, weights missing"),
        ({"dataset.archive": "nowhere.tar.gz"}, "dataset.archive: there is no file nowhere.tar.gz"),
        ({"dataset.sha256": "12"}, "dataset.sha256: '12' does not have the form"),
        ({"study": "../elsewhere"}, "study: '../elsewhere' does not have the form"),
        ({"report.reference": "no.yaml"}, "report.reference: there is no file no.yaml"),
        ({"seeds": ["one"]}, "seeds.0: 'one' is not of type 'integer'"),
    ],
)
def test_a_fault_is_told_in_one_line_with_its_key(configure, changes, message):
    with pytest.raises(InputError) as caught:
        configure(changes)
    assert str(caught.value).startswith(f"config: {message}")
    assert "\n" not in str(caught.value)


def test_a_weights_file_with_another_checksum_is_refused(configure, tmp_path):
    (tmp_path / "own.pth").write_bytes(b"weights")
    changes = {
        "runs.pytorch-pretrained.weights": str(tmp_path / "own.pth"),
        "runs.pytorch-pretrained.weights_sha256": "0" * 64,
    }
    with pytest.raises(InputError, match=r"runs\.pytorch-pretrained\.weights_sha256: .* not 0000"):
        configure(changes)
