"""Native against harmonised: the effect of the defaults is found when it is there, and only then."""

from dataclasses import replace

import numpy as np
import pytest
from analysis.fake_study import SETTINGS, FakeRun, FakeStudy
from twinbench.analysis import defaults, results
from twinbench.analysis.defaults import Estimate, Gap


def four_runs(*accuracies: float) -> dict[str, FakeRun]:
    frameworks = {"torch": "pytorch", "keras": "tensorflow"}
    names = [(name, protocol) for protocol in ("native", "harmonised") for name in frameworks]
    return {
        f"{name}-{protocol}": FakeRun(
            frameworks[name],
            accuracy=accuracy,
            noise=noise,
            settings={**SETTINGS, "protocol": protocol},
        )
        for noise, ((name, protocol), accuracy) in enumerate(zip(names, accuracies, strict=True), 1)
    }


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_gap_that_only_native_runs_have_is_due_to_the_defaults(tmp_path, seeds):
    fake = FakeStudy(tmp_path, four_runs(0.80, 0.70, 0.75, 0.75), range(seeds), images=4000)
    (gap,) = defaults.gaps(fake.models)
    assert (gap.first, gap.second, gap.seeds) == ("pytorch", "tensorflow", seeds)
    assert gap.native.value == pytest.approx(0.1, abs=0.03)
    assert gap.defaults.clear
    assert gap.defaults.value == pytest.approx(gap.native.value - gap.harmonised.value)
    assert gap.defaults.low < gap.defaults.value < gap.defaults.high


def test_a_gap_that_harmonised_runs_have_too_is_not_due_to_the_defaults(tmp_path):
    (gap,) = defaults.gaps(FakeStudy(tmp_path, four_runs(0.80, 0.70, 0.80, 0.70)).models)
    assert gap.native.clear and gap.harmonised.clear and not gap.defaults.clear


def test_a_percentage_is_claimed_only_of_a_clear_effect():
    native, harmonised = Estimate(0.10, 0.05, 0.15), Estimate(0.08, 0.05, 0.11)
    clear, unclear = Estimate(0.02, 0.01, 0.03), Estimate(0.02, -0.01, 0.05)
    gap = Gap("alexnet", "pytorch", "tensorflow", native, harmonised, clear, seeds=1)
    assert "20 %" in defaults.finding(gap) and str(clear) in defaults.finding(gap)
    assert "%" not in defaults.finding(replace(gap, defaults=unclear))


def test_the_interval_over_seeds_is_students(tmp_path):
    models = FakeStudy(tmp_path, four_runs(0.80, 0.70, 0.75, 0.75), range(3), images=500).models
    correct = results.correct_predictions(models)
    values = correct["torch-native"].mean(axis=1) - correct["keras-native"].mean(axis=1)
    half = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)  # t, 2 degrees of freedom
    (gap,) = defaults.gaps(models)
    assert gap.native.high == pytest.approx(np.mean(values) + half, rel=1e-4)


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
    assert defaults.gaps(FakeStudy(tmp_path, runs, images=100).models) == []
