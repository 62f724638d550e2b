"""Native against harmonised: the defaults' share of a gap is found when it is there, and only then."""

import numpy as np
import pytest
from fake_study import FakeRun
from twinbench.analysis import defaults, study

SETTINGS = {"epochs": 8}


def _runs(torch_native: float, keras_native: float, torch: float, keras: float):
    def run(framework, protocol, accuracy, seed):
        return FakeRun(
            framework=framework,
            accuracy=accuracy,
            predictions_seed=seed,
            settings={**SETTINGS, "protocol": protocol},
        )

    return {
        "torch-native": run("pytorch", "native", torch_native, 1),
        "keras-native": run("tensorflow", "native", keras_native, 2),
        "torch": run("pytorch", "harmonised", torch, 3),
        "keras": run("tensorflow", "harmonised", keras, 4),
    }


def _gap(fake):
    (gap,) = defaults.gaps(study.jobs(fake.directory, fake.settings))
    return gap


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_the_gap_that_only_native_runs_have_is_their_defaults(make_study, seeds):
    gap = _gap(make_study(_runs(0.80, 0.70, 0.75, 0.75), seeds=seeds, images=4000))
    assert gap.seeds == len(seeds)
    assert gap.native.value == pytest.approx(0.1, abs=0.03)
    assert gap.defaults.clear
    assert gap.defaults.value == pytest.approx(gap.native.value - gap.harmonised.value)
    assert gap.defaults.low < gap.defaults.value < gap.defaults.high
    assert "% of the gap between the frameworks is their defaults" in defaults.finding(gap, {})


def test_a_gap_that_stays_is_not_the_defaults(make_study):
    gap = _gap(make_study(_runs(0.80, 0.70, 0.80, 0.70), images=1000))
    assert gap.native.clear and gap.harmonised.clear
    assert not gap.defaults.clear
    assert "no effect of the defaults is shown" in defaults.finding(gap, {})


def test_the_interval_over_seeds_is_students(make_study):
    fake = make_study(_runs(0.80, 0.70, 0.75, 0.75), seeds=(0, 1, 2), images=500)
    jobs = study.jobs(fake.directory, fake.settings)
    correct = {(j.run, j.seed): p.correct.mean() for j, p in study.predictions(jobs)}
    values = [correct["torch-native", s] - correct["keras-native", s] for s in (0, 1, 2)]
    half = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)  # t of 2 degrees of freedom
    assert _gap(fake).native.high == pytest.approx(np.mean(values) + half, rel=1e-4)


def test_without_native_runs_or_with_a_collapsed_one_there_is_no_gap(make_study, tmp_path):
    runs = _runs(0.8, 0.7, 0.75, 0.75)
    fake = make_study({name: runs[name] for name in ("torch", "keras")})
    assert defaults.gaps(study.jobs(fake.directory, fake.settings)) == []


def test_runs_that_differ_otherwise_are_not_set_against_each_other(make_study):
    runs = _runs(0.8, 0.7, 0.75, 0.75)
    runs["keras-native"].settings["epochs"] = 4
    fake = make_study(runs)
    assert defaults.gaps(study.jobs(fake.directory, fake.settings)) == []
