"""The parity suite holds between the frameworks, and the audit accounts for every difference."""

from dataclasses import replace

import numpy as np
import pytest
from measurements import (
    JOBS,
    failed_checks,
    parity_backend,
    parity_job,
    unaccounted,
    unchanged,
)
from support import TINY, TINY_RESIZABLE, options, split, training_settings
from twinbench.config.arguments import to_arguments
from twinbench.data import splits
from twinbench.language import Language
from twinbench.networks import weights
from twinbench.parity import audit, comparing, measuring
from twinbench.parity.cases import Case
from twinbench.recipe.initial_weights import initial_weights


@pytest.mark.parametrize("kind", JOBS)
def test_all_checks_and_the_audit_pass(kind):
    measurements = [unchanged(framework, kind) for framework in ("pytorch", "tensorflow")]
    assert unaccounted(*measurements) == []
    if kind != "bfloat16":  # where all but the audit is measured in float32
        assert failed_checks(*measurements) == []
    checks = set(comparing.compare(measurements)["check"])
    assert ("preprocessing as the library's" in checks) == (kind == "pretrained")


def test_another_arithmetic_fails_the_audit():
    first, second = unchanged("pytorch", "bfloat16"), unchanged("tensorflow")
    assert unaccounted(first, second) == ["arithmetic of the layers"]


def test_frameworks_measured_on_different_devices_fail_the_audit():
    first, second = unchanged("pytorch"), unchanged("tensorflow")
    assert second.settings["tiny"]["device"][0] == "cpu"
    moved = second.settings["tiny"] | {"device": ["NVIDIA H200", "device"]}
    assert unaccounted(first, replace(second, settings={"tiny": moved})) == ["device"]


def test_nan_fails_its_check():
    first, second = unchanged("pytorch"), unchanged("tensorflow")
    broken = {**second.quantities, "tiny:loss": np.array(np.nan)}
    assert failed_checks(first, replace(second, quantities=broken)) == ["loss"]


def with_gradients(framework, *batches):
    quantities = {
        f"case:gradients of batch {number}/conv1/kernel": np.array([1.0, value])
        for number, value in enumerate(batches, 1)
    }
    return comparing.Measurement(framework, ["case"], quantities, {"case": {}})


@pytest.mark.parametrize(
    ("others", "failed"),
    [((5, 2, 2), []), ((5, 2, 5), []), ((5, 5, 5), ["gradients"]), ((), ["gradients"])],
)
def test_gradients_agree_if_they_do_in_one_batch_that_both_measured(others, failed):
    first = with_gradients("pytorch", 2, 2, 2)
    assert failed_checks(first, with_gradients("tensorflow", *others)) == failed


def test_the_finding_names_the_first_check_that_fails():
    first, second = with_gradients("pytorch", 2), with_gradients("tensorflow", 5)
    (failed,) = comparing.findings(comparing.compare([first, second]), Language())
    assert not failed.passed and "gradients" in failed.text
    (passed,) = comparing.findings(
        comparing.compare([first, replace(first, framework="other")]), Language()
    )
    assert passed.passed


def test_the_audits_finding_names_the_settings_that_nothing_accounts_for():
    reported = [
        comparing.Measurement(name, ["case"], {}, {"case": {"loss": [value, "own words"]}})
        for name, value in (("pytorch", "mean"), ("tensorflow", "sum"))
    ]
    finding = audit.finding(audit.table(reported), Language())
    assert not finding.passed and "loss" in finding.text
    assert audit.finding(audit.table([reported[0], reported[0]]), Language()).passed


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_the_audits_settings_have_names_that_the_report_translates(framework):
    settings = unchanged(framework, "batch normalisation").settings["tiny"]
    assert settings.keys() <= set(audit.SETTINGS)


@pytest.mark.parametrize(("network", "size"), [(TINY_RESIZABLE, 32), (TINY, 48)])
def test_gradients_are_measured_on_the_smallest_images_that_the_weights_serve(network, size):
    sizes = set()

    class Recording(parity_backend("pytorch")):
        def loss_and_gradients(self, plan, step):
            sizes.add(plan.input_size)
            return super().loss_and_gradients(plan, step)

    found = measuring.measure(parity_job(network, input_size=48), Recording)
    assert sizes == {size}
    assert found["augmented pixels"].shape[1:] == (48, 48, 3)


def test_the_script_measures_the_cases_of_a_study(tmp_path, run_script):
    given = initial_weights(3, TINY_RESIZABLE.layers, 32, False)
    weights.write(tmp_path / "weights", given)
    common = {"training": training_settings(learning_rate=0.01)}
    cases = {
        "scratch": Case(model="tiny", weights="none", weights_id=None, **common),
        "own-file": Case(model="tiny_resizable", weights="file", weights_id="file-1", **common),
    }
    for name, seed in (("train", 1), ("validation", 2)):
        splits.save(tmp_path / name, split("target", 80, seed))
    files = {name: tmp_path / name for name in ("train", "validation", "weights")}
    files["library"] = tmp_path / "unread"  # no library has this network
    for framework in ("pytorch", "tensorflow"):
        files |= {"backend": framework, "threads": 1, "output": tmp_path / framework}
        arguments = [*to_arguments({"seed": 1, "cases": cases}).values(), *options(files)]
        assert run_script("measure_parity.py", arguments) == 0
    table = comparing.compare([comparing.read(tmp_path / n) for n in ("pytorch", "tensorflow")])
    assert set(table["case"]) == set(cases)
    assert table["passed"].all()
    features = table[table["check"] == "converted weights in the library's network"]
    assert list(features["case"]) == ["own-file"]
