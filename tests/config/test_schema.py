"""What is generated from the models: the JSON schema for editors and the table of keys."""

import subprocess
import sys

import pytest
import yaml
from example_config import CONFIG, OVERLAYS, ROOT, changed, shipped
from jsonschema import Draft202012Validator
from snakemake.utils import update_config
from twinbench.config.models import Config, Run
from twinbench.config.schema import schema_text
from twinbench.config.study import BACKENDS
from twinbench.config.training import Training
from twinbench.networks.architectures import ARCHITECTURES

SCHEMA_FILE = ROOT / "workflow" / "schemas" / "config.schema.yaml"
README = CONFIG / "README.md"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = yaml.safe_load(schema_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_committed_schema_is_in_step_with_the_models():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run `make generate`"


def test_the_command_writes_the_schema(tmp_path):
    schema = tmp_path / "schema.yaml"
    command = [sys.executable, "-m", "twinbench.config.schema", str(schema)]
    subprocess.run(command, check=True, cwd=ROOT / "workflow" / "scripts")
    assert schema.read_text(encoding="utf-8") == schema_text()


def test_the_table_has_every_key_once():
    rows = [line.split("`")[1] for line in README.read_text().splitlines() if line[:3] == "| `"]
    keys = [row for row in rows if not row.endswith(".yaml")]  # the overlays have a table too
    assert len(keys) == len(set(keys))
    assert {f"training.{name}" for name in Training.model_fields} <= set(keys)
    own = set(Run.model_fields) - set(Training.model_fields)
    assert {key for key in keys if key.startswith("runs.<name>.")} == {
        f"runs.<name>.{name}" for name in own
    }
    assert set(Config.model_fields) <= set(keys)


def test_every_key_has_a_description(validator):
    groups = [validator.schema, *validator.schema["$defs"].values()]
    settings = [part for group in groups for part in group["properties"].values()]
    assert len(settings) > 60
    assert all(part.get("description") for part in settings)


def test_limits_have_their_names_of_json_schema(validator):
    known = {
        *("$ref", "additionalProperties", "anyOf", "default", "description", "enum", "items"),
        *("exclusiveMaximum", "exclusiveMinimum", "maximum", "maxLength", "minimum", "minItems"),
        *("minLength", "minProperties", "pattern", "patternProperties", "properties"),
        *("propertyNames", "type", "uniqueItems"),
    }
    for group in [validator.schema, *validator.schema["$defs"].values()]:
        for part in group["properties"].values():
            assert {key for each in (part, *part.get("anyOf", [])) for key in each} <= known


def test_the_schema_names_the_frameworks_and_networks(validator):
    run = validator.schema["$defs"]["Run"]["properties"]
    assert run["framework"]["enum"] == BACKENDS
    assert run["model"]["enum"] == list(ARCHITECTURES)


@pytest.mark.parametrize("name", ["config.yaml", *OVERLAYS])
def test_the_shipped_files_are_valid_alone_and_merged(validator, name):
    config = shipped()
    update_config(config, shipped(name))
    assert [error.message for error in validator.iter_errors(shipped(name))] == []
    assert [error.message for error in validator.iter_errors(config)] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"trainin": {}},
        {"training.epochs": 0},
        {"training.epochs": "many"},
        {"training.dropout": 1},
        {"training.optimiser.beta_3": 0.1},
        {"training.learning_rate": 0},
        {"training.learning_rate_multipliers": {"": 1}},
        {"training.precision": "float16"},
        {"training.head": None},
        {"dataset.limit": 3},
        {"dataset.sha256": "12"},
        {"report.equivalence_margin": 0.6},
        {"runs.pytorch-scratch.framework": "jax"},
        {"runs.pytorch-scratch.model": "vgg61"},
        {"runs.pytorch-scratch.epochs": 0},
        {"runs.a b": {}},
        {"weights.imagenet": {"vgg16": {"url": "https://host"}}},
        {"seeds": [1, 1]},
        {"seeds": []},
    ],
)
def test_an_editor_marks_what_the_workflow_refuses(validator, changes):
    assert not validator.is_valid(changed(changes))


@pytest.mark.parametrize(
    "changes",
    [{}, {"runs.pytorch-scratch": None}, {"dataset.limit": None}, {"runs.a": {"epochs": 1}}],
)
def test_an_editor_accepts_an_overlay(validator, changes):
    assert validator.is_valid(changed(changes))
