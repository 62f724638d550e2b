"""Settings as `key=value` text, and back."""

import json

import pytest
from twinbench.config.arguments import from_arguments, to_arguments
from twinbench.config.models import Config, Run
from twinbench.config.training import Training
from twinbench.errors import InputError

RUN = {"framework": "pytorch", "model": "vgg16", "weights": "none"}
# A value of each training setting that is not its default.
OTHER = {
    "protocol": "native",
    "epochs": 3,
    "batch_size": 64,
    "optimiser": {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-12, "weight_decay": 0.3},
    "learning_rate": 1e-5,
    "schedule": {"shape": "linear", "warmup_fraction": 0.0, "final_fraction": 1.0},
    "dropout": 0.0,
    "label_smoothing": 0.1,
    "batch_normalisation": True,
    "augmentation": {
        "rotation_degrees": 0.0,
        "shift_fraction": 0.2,
        "whole_pixels": True,
        "scale_fraction": 0.25,
        "horizontal_flip": False,
        "fill": "zeros",
    },
    "input_size": 64,
    "progressive_resizing": {"epochs": 2, "input_size": 48},
    "head": {"epochs": 1, "learning_rate": 0.01, "initialisation": "zeros"},
    "frozen": ["block1", "a=b", 'with "quotes"', "null"],
    "learning_rate_multipliers": {"dense.1": 0.5, "conv": 2.0, "a=b": 1.0},
    "early_stopping": {"patience": 4},
    "reduce_on_plateau": {"patience": 2, "factor": 0.1},
    "selected_epoch": "last",
    "on_collapse": "fail",
    "precision": "float32",
    "device": "cpu",
}
HOSTILE = [
    "",
    " ",
    "null",
    "true",
    "1",
    "1e3",
    "-0.0",
    "NaN",
    "Infinity",
    '"quoted"',
    '"',
    "[1]",
    "{}",
    "{",
    "a=b=c",
    "a.b",
    " 1 ",
    "two\nlines",
    "tab\tand\\backslash",
    "$HOME `id` 'x'; rm -rf *",
    "¿Cuál?",
    "漢字",
    "\u2028",
    "9" * 5000,
    "[" * 100_000,
]


def test_every_training_setting_survives_the_round_trip():
    assert set(OTHER) == set(Training.model_fields)
    settings = Training(**OTHER)
    for text in to_arguments(settings).values():
        assert "\n" not in text
    assert Training(**from_arguments(to_arguments(settings).values())) == settings
    assert from_arguments(to_arguments(settings).values()) == OTHER


def test_each_setting_of_a_group_has_an_argument_of_its_own():
    arguments = to_arguments(Training(**OTHER))
    leaves = {
        f"{name}.{inner}" if isinstance(value, dict) and "multipliers" not in name else name
        for name, value in OTHER.items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert set(arguments) == leaves
    assert arguments["optimiser.epsilon"] == "optimiser.epsilon=1e-12"
    assert arguments["schedule.shape"] == "schedule.shape=linear"


def test_the_whole_config_survives_the_round_trip():
    config = Config(runs={"a": Run(**RUN), "b-1": Run(**RUN, **OTHER)}, seeds=[3, 1])
    arguments = to_arguments({"dataset": config.dataset, "report": config.report})
    assert from_arguments(arguments.values()) == {
        "dataset": config.dataset.model_dump(),
        "report": config.report.model_dump(),
    }


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_any_text_survives_the_round_trip(text):
    settings = {"key": text, "list": [text], "group": {text: text}}
    arguments = to_arguments(settings)
    assert arguments["key"].isascii() and arguments["list"].isascii()
    assert from_arguments(to_arguments(settings).values()) == settings


@pytest.mark.parametrize("value", [None, True, False, 0, 1, -1.5, 1e-300, 10**20, [], {}, ["null"]])
def test_any_value_survives_the_round_trip(value):
    found = from_arguments(to_arguments({"key": value}).values())["key"]
    assert found == value
    assert type(found) is type(value)


def test_equal_settings_are_equal_text():
    ways = [
        {"learning_rate": 0.001, "epochs": 15, "learning_rate_multipliers": {"a": 1, "b": 2}},
        {"learning_rate": "1e-3", "epochs": 15.0, "learning_rate_multipliers": {"b": 2.0, "a": 1}},
        {
            "learning_rate": 1e-3,
            "epochs": "15",
            "learning_rate_multipliers": {"b": "2", "a": "1.0"},
        },
    ]
    assert len({json.dumps(to_arguments(Training(**way))) for way in ways}) == 1


def test_different_settings_are_different_text():
    base = to_arguments(Training())
    other = to_arguments(Training(**OTHER))
    assert all(other[key] != text for key, text in base.items())


def test_text_and_what_it_looks_like_are_different_arguments():
    assert to_arguments({"key": "1"}) != to_arguments({"key": 1})
    assert to_arguments({"key": "null"}) != to_arguments({"key": None})


@pytest.mark.parametrize("argument", ["epochs", ""])
def test_an_argument_without_a_value_is_refused(argument):
    with pytest.raises(InputError, match="not of the form key=value"):
        from_arguments([argument])
