"""Native against harmonised: the effect of the defaults is found when it is there, and only then."""

from dataclasses import replace

import pytest
from analysis.fake_study import SETTINGS, FakeRun, FakeStudy
from twinbench.analysis import comparisons, defaults, results
from twinbench.analysis.results import TrainedModel
from twinbench.analysis.statistics import Estimate


def four_runs(*accuracies: float, **changes) -> dict[str, FakeRun]:
    frameworks = {"torch": "pytorch", "keras": "tensorflow"}
    names = [(name, protocol) for protocol in ("native", "harmonised") for name in frameworks]
    return {
        f"{name}-{protocol}": FakeRun(
            frameworks[name],
            accuracy=accuracy,
            noise=noise,
            settings={**SETTINGS, **changes, "protocol": protocol},
        )
        for noise, ((name, protocol), accuracy) in enumerate(zip(names, accuracies, strict=True), 1)
    }


def gaps(models: list[TrainedModel]) -> list[defaults.Gap]:
    return defaults.gaps(models, results.correct_predictions(models))


def excludes_0(estimate: Estimate) -> bool:
    low, high = estimate.interval()
    return low > 0 or high < 0


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_gap_that_only_native_runs_have_is_due_to_the_defaults(tmp_path, seeds):
    fake = FakeStudy(tmp_path, four_runs(0.80, 0.70, 0.75, 0.75), range(seeds), images=4000)
    (gap,) = gaps(fake.models)
    assert (gap.model, gap.weights, gap.first, gap.second) == (
        "alexnet",
        "none",
        "pytorch",
        "tensorflow",
    )
    assert gap.native.seeds == gap.defaults.seeds == seeds
    assert gap.native.difference == pytest.approx(0.1, abs=0.03)
    difference = gap.native.difference - gap.harmonised.difference
    assert gap.defaults.difference == pytest.approx(difference)
    assert excludes_0(gap.defaults) and not excludes_0(gap.harmonised)


def test_runs_from_other_files_of_ones_own_are_another_group(tmp_path):
    fake = FakeStudy(tmp_path, four_runs(0.80, 0.70, 0.75, 0.75), images=100)
    runs = {}
    for name, facts in fake.settings.runs.items():
        sha256 = ("ab" if name.endswith("native") else "cd") * 32
        own = {"source": "file", "file": "own.pt", "sha256": sha256}
        fake.edit_provenance(name, weights=own)
        runs[name] = facts.model_copy(update={"weights": "file", "weights_file": "own.pt"})
    fake.settings = fake.settings.model_copy(update={"runs": runs})
    assert gaps(fake.models) == []


def test_a_gap_that_harmonised_runs_have_too_is_not_due_to_the_defaults(tmp_path):
    fake = FakeStudy(tmp_path, four_runs(0.80, 0.70, 0.80, 0.70), range(3), images=4000)
    (gap,) = gaps(fake.models)
    assert excludes_0(gap.native) and excludes_0(gap.harmonised) and not excludes_0(gap.defaults)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_the_same_gap_in_each_seed_is_no_certainty(tmp_path, seeds):
    runs = four_runs(0.75, 0.75, 0.75, 0.75)
    alike = {name: replace(run, noise=1) for name, run in runs.items()}
    (gap,) = gaps(FakeStudy(tmp_path, alike, range(seeds)).models)
    low, high = gap.defaults.interval()
    assert gap.defaults.difference == 0 and high - low > 0.005


def test_what_is_due_to_the_defaults_has_the_luck_of_four_trainings(tmp_path):
    runs = four_runs(0.75, 0.75, 0.75, 0.75)
    alike = {name: replace(run, noise=1) for name, run in runs.items()}  # no luck of images
    (gap,) = gaps(FakeStudy(tmp_path, alike).models)
    variances = [each.training_variance for each in (gap.native, gap.harmonised, gap.defaults)]
    assert variances[2] == pytest.approx(sum(variances[:2])) and variances[2] > 0


@pytest.mark.parametrize("epochs", [3, 8])
def test_a_gap_is_that_of_the_comparison(tmp_path, epochs):
    models = FakeStudy(tmp_path, four_runs(0.8, 0.7, 0.75, 0.75, epochs=epochs), range(2)).models
    (gap,) = gaps(models)
    pairs = {(pair.run_a, pair.run_b): pair for pair in comparisons.compare(models, 0.01)}
    for protocol, estimate in (("native", gap.native), ("harmonised", gap.harmonised)):
        pair = pairs[f"torch-{protocol}", f"keras-{protocol}"]
        assert pair.difference == estimate.difference
        assert pair.standard_error == estimate.standard_error


def test_another_groups_short_or_collapsed_run_does_not_change_what_is_assumed(tmp_path):
    runs = four_runs(0.8, 0.7, 0.75, 0.75)
    (alone,) = gaps(FakeStudy(tmp_path / "alone", runs).models)
    runs["other"] = FakeRun(
        model="vgg16", noise=9, collapsed=True, settings={**SETTINGS, "epochs": 1}
    )
    (beside,) = gaps(FakeStudy(tmp_path / "beside", runs).models)
    assert alone == beside


@pytest.mark.parametrize(
    "change",
    [
        lambda runs: runs.pop("torch-native"),
        lambda runs: setattr(runs["keras-native"], "collapsed", True),
        lambda runs: runs["keras-native"].settings.update(epochs=4),
    ],
    ids=["no native run", "a collapsed run", "other settings"],
)
def test_without_four_comparable_runs_there_is_no_gap(tmp_path, change):
    runs = four_runs(0.8, 0.7, 0.75, 0.75)
    change(runs)
    assert gaps(FakeStudy(tmp_path, runs, images=100).models) == []


def test_groups_of_other_settings_are_numbered(tmp_path):
    runs = four_runs(0.8, 0.7, 0.75, 0.75)
    longer = four_runs(0.8, 0.7, 0.75, 0.75, epochs=9)
    runs |= {f"{name}-longer": run for name, run in longer.items()}
    found = gaps(FakeStudy(tmp_path, runs, images=100).models)
    assert [gap.number for gap in found] == [1, 2]
