"""Models that were not trained as asked, or on other bytes than the rest, are refused in one line."""

import json
import subprocess
import sys

import pytest
from analysis.fake_study import DATASET, SETTINGS, FakeRun, FakeStudy
from support import SCRIPTS
from twinbench.analysis.asked import study_settings
from twinbench.analysis.results import StudySettings
from twinbench.config.arguments import from_arguments, to_arguments
from twinbench.config.study import Study
from twinbench.errors import InputError

RUNS = {"a": FakeRun(), "b": FakeRun(noise=1, weights="synthetic"), "c": FakeRun(noise=2)}
WEIGHTS = {"source": "synthetic", "file": None, "sha256": "ab" * 32}
LATER = "2026-01-02T00:00:00+00:00"


def refused(fake: FakeStudy) -> str:
    with pytest.raises(InputError) as error:
        assert fake.models
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "key", "found", "wanted"),
    [
        ({"seed": 2}, "seed", "2", "1"),
        ({"framework": "tensorflow"}, "framework", '"tensorflow"', '"pytorch"'),
        ({"model": "vgg16"}, "model", '"vgg16"', '"alexnet"'),
        ({"weights": WEIGHTS | {"source": "none"}}, "weights.source", '"none"', '"synthetic"'),
        ({"weights": WEIGHTS | {"file": "x.pth"}}, "weights.file", '"x.pth"', "null"),
        ({"settings": SETTINGS | {"learning_rate": 0.1}}, "settings.learning_rate", "0.1", "0.001"),
        ({"settings": {**SETTINGS, "epochs": None}}, "settings.epochs", "null", "8"),
    ],
)
def test_a_model_that_was_trained_otherwise_is_refused(tmp_path, changes, key, found, wanted):
    fake = FakeStudy(tmp_path, RUNS, seeds=[1])
    assert len(fake.models) == 3
    fake.edit_provenance("b", 1, **changes)
    message = refused(fake)
    assert (
        f"b/seed-1/provenance.json: {key} is {found}, but the config asks for {wanted};" in message
    )
    assert f"delete {fake.folder('b', 1) / 'history.csv'} and start again" in message


def test_a_run_has_the_settings_of_the_study_unless_it_has_its_own(tmp_path):
    asked = {"epochs": 8, "optimiser.beta_1": 0.9, "learning_rate_multipliers": {"conv": 0.1}}
    settings = {
        "epochs": 8,
        "optimiser": {"beta_1": 0.8},
        "learning_rate_multipliers": {"conv": 0.1},
    }
    fake = FakeStudy(tmp_path, {"a": FakeRun(settings=settings)})
    fake.settings = StudySettings.model_validate(
        {
            "runs": {"a": dict(fake.settings.runs["a"]) | {"training": {"optimiser.beta_1": 0.8}}},
            "seeds": [0],
            "training": asked,
        }
    )
    assert len(fake.models) == 1
    fake.edit_provenance("a", settings=settings | {"learning_rate_multipliers": {}})
    assert (
        'settings.learning_rate_multipliers is {}, but the config asks for {"conv": 0.1}'
        in refused(fake)
    )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_models_trained_on_other_images_are_named(tmp_path, split):
    fake = FakeStudy(tmp_path, RUNS, seeds=[1, 2])
    other = {**DATASET, "sha256": DATASET["sha256"] | {split: "78" * 32}}
    for run in ("a", "c"):
        fake.edit_provenance(run, 2, dataset=other)
    fake.edit_provenance("b", 1, started=LATER)
    message = refused(fake)
    assert f"dataset.sha256.{split} is " in message and "78" * 32 in message
    for run in ("a", "c"):
        assert str(fake.folder(run, 2) / "history.csv") in message
    assert f"{fake.folder('b', 1)}, trained later" in message
    # With the others' images replaced, those are the old ones.
    for run in ("a", "c"):
        fake.edit_provenance(run, 2, started="2026-01-03T00:00:00+00:00")
    message = refused(fake)
    assert str(fake.folder("b", 2) / "history.csv") in message
    assert str(fake.folder("a", 2) / "history.csv") not in message


def test_models_that_began_with_other_weights_are_named(tmp_path):
    fake = FakeStudy(tmp_path, RUNS, seeds=[1, 2])
    fake.edit_provenance("b", 1, weights=WEIGHTS | {"sha256": "cd" * 32}, started=LATER)
    message = refused(fake)
    assert "b/seed-2/provenance.json: weights.sha256 is " in message and "cd" * 32 in message


def test_seeds_of_a_run_that_began_with_other_files_of_ones_own_are_named(tmp_path):
    fake = FakeStudy(tmp_path, RUNS, seeds=[1, 2])
    own = {"weights": "file", "weights_file": "own.pt"}
    runs = fake.settings.runs | {"b": fake.settings.runs["b"].model_copy(update=own)}
    fake.settings = fake.settings.model_copy(update={"runs": runs})
    for seed, sha256 in ((1, "ab" * 32), (2, "cd" * 32)):
        own = {"source": "file", "file": "own.pt", "sha256": sha256}
        fake.edit_provenance("b", seed, weights=own)
    assert "weights.sha256 is " in refused(fake)


@pytest.mark.parametrize("script", ["evaluate_runs.py", "compare_runs.py"])
def test_the_analysis_ends_before_it_writes_anything(tmp_path, script):
    fake = FakeStudy(tmp_path, RUNS)
    fake.edit_provenance("b", settings=SETTINGS | {"learning_rate": 0.1})
    margin = ["equivalence_margin=0.01"] if script == "compare_runs.py" else []
    files = ("--directory", fake.directory, "--output", tmp_path / "table.csv")
    command = [sys.executable, SCRIPTS / script, *fake.arguments, *margin, *files]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and not (tmp_path / "table.csv").exists()
    (line,) = result.stderr.splitlines()
    assert "settings.learning_rate is 0.1, but the config asks for 0.001" in line


def asked_by_run(arguments: list[str]) -> dict[str, dict]:
    settings = StudySettings.model_validate(from_arguments(arguments))
    return {run: settings.training | facts.training for run, facts in settings.runs.items()}


def test_a_thousand_runs_fit_into_a_command():
    network = {"framework": "pytorch", "model": "alexnet32", "weights": "none"}
    runs = {
        f"alexnet32-search-{number:04}": network
        | {
            "learning_rate": number * 1e-5,
            "dropout": 0.1 + number / 2000,
            "optimiser": {"beta_1": 0.8},
        }
        for number in range(1, 1001)
    }
    runs["other"] = network | {"learning_rate_multipliers": {"conv": 0.1}, "frozen": ["conv1"]}
    raw = {"study": "search", "dataset": {"source": "synthetic"}, "runs": runs}
    study = Study(raw)
    arguments = list(to_arguments(study_settings(study)).values())
    assert sum(map(len, arguments)) < 1 << 20  # Linux takes two MiB
    assert max(map(len, arguments)) < 1 << 16
    for run, asked in asked_by_run(arguments).items():
        training = json.loads(study.training(run).model_dump_json())
        assert asked.pop("optimiser.beta_1") == training["optimiser"]["beta_1"]
        flat = {key: value for key, value in asked.items() if "." not in key}
        assert flat == {key: training[key] for key in flat}
        assert training.keys() == {key.partition(".")[0] for key in asked}
    reverse = Study(raw | {"runs": dict(reversed(runs.items()))})
    assert set(to_arguments(study_settings(reverse)).values()) == set(arguments)
