"""The report: flaws are named where the numbers stand, sound studies get no warnings."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from analysis.fake_study import DATASET, DIAGNOSIS, FOUR, SETTINGS, FakeRun, FakeStudy
from report.samples import AUDIT, PARITY, REFERENCE, TEMPLATE, data_statistics
from twinbench.analysis import comparisons, metrics
from twinbench.report import answer, discussion, inputs, methods, outcomes, provenance, reported
from twinbench.report.comparisons import comparisons as comparisons_table
from twinbench.report.comparisons import default_gaps
from twinbench.report.evidence import Evidence, Table
from twinbench.report.limits import limits
from twinbench.report.render import SECTIONS, render

CHANCE_LOSS = "ln 10 = 2.303"
TWINS = {"torch": FakeRun(noise=1), "keras": FakeRun("tensorflow", noise=2)}
COLLAPSED = {**FOUR, "pytorch-pretrained": replace(FOUR["pytorch-pretrained"], collapsed=True)}


def evidence(fake: FakeStudy, **changes) -> Evidence:
    """The evidence of a fake study without going through files."""
    models = fake.models
    class_names, confusions = metrics.confusions(models)
    texts = {"study": "fake", "title": "A title", "introduction": "An introduction."}
    settings = inputs.ReportSettings(**dict(fake.settings), **texts, equivalence_margin=0.01)
    found = {
        "settings": settings,
        "metrics": metrics.evaluate(models),
        "comparisons": comparisons.compare(models, 0.01),
        "models": models,
        "confusions": confusions,
        "class_names": class_names,
        "statistics": data_statistics(),
        "reference": inputs.read_reference(REFERENCE),
        "figures": {name: f"{name}.png" for name in inputs.FIGURES},
        "parity": None,
        "audit": None,
    }
    return Evidence(**{**found, **changes})


def flawed(folder) -> Evidence:
    """One seed, synthetic weights, a collapsed run, a failed parity check and a failed audit."""
    return evidence(FakeStudy(folder, COLLAPSED, images=400), parity=PARITY, audit=AUDIT)


# --- Flaws -------------------------------------------------------------------------------------


def test_each_flaw_is_a_warning_beside_the_answer_and_a_limit(tmp_path):
    found = flawed(tmp_path)
    warnings, weak = answer.warnings(found), limits(found)
    assert set(warnings) == {"collapsed", "synthetic weights", "parity"}
    assert set(weak) == {"one seed", "synthetic weights", "collapsed", "confounded", "one device"}
    for said in (warnings, weak):
        assert "pytorch-pretrained" in said["collapsed"]
        assert "tensorflow-pretrained" in said["synthetic weights"]
    assert all(text in answer.answer(found)[-1] for text in warnings.values())


def test_sound_runs_get_no_warnings(tmp_path):
    passed = {"parity": PARITY.assign(passed=True), "audit": AUDIT.assign(status="same")}
    found = evidence(FakeStudy(tmp_path, TWINS, (0, 1, 2)), **passed)
    assert answer.warnings(found) == {}
    assert set(limits(found)) == {"one test split", "one device"}
    assert (
        outcomes.notes(found) == discussion.collapses(found) == discussion.next_steps(found) == []
    )


def test_marks_stand_beside_the_name_in_every_table_of_runs(tmp_path):
    found = flawed(tmp_path)
    for table in (outcomes.results(found), outcomes.costs(found), reported.reported(found)):
        names = {row[0].split(" ")[0]: row[0] for row in table.rows}
        assert names.keys() == FOUR.keys()
        assert "collapsed" in names["pytorch-pretrained"]
        assert "synthetic weights" in names["tensorflow-pretrained"]
        assert names["pytorch-scratch"] == "pytorch-scratch"


def test_a_collapse_is_explained_only_where_there_is_one(tmp_path):
    text = render(TEMPLATE, flawed(tmp_path / "collapsed"))
    assert DIAGNOSIS in text and CHANCE_LOSS in text
    assert CHANCE_LOSS not in render(TEMPLATE, evidence(FakeStudy(tmp_path / "sound")))


@pytest.mark.parametrize(
    ("asked", "bfloat16", "warned"),
    [("auto", ["torch"], True), ("auto", ["torch", "keras"], False), ("float32", ["torch"], False)],
)
def test_a_precision_that_auto_chose_for_some_runs_alone_is_a_warning(
    tmp_path, asked, bfloat16, warned
):
    settings = {**SETTINGS, "precision": asked}
    runs = {name: replace(run, settings=settings) for name, run in TWINS.items()}
    fake = FakeStudy(tmp_path, runs, images=100)
    for run in bfloat16:
        fake.edit_provenance(run, precision="bfloat16")
    found = answer.warnings(evidence(fake))
    assert ("precision" in found) == warned
    if warned:
        assert "torch (seed 0)" in found["precision"] and "keras" not in found["precision"]


ON_GPU = {"compute_capability": "8.0", "driver": "580.95.05", "cuda": "13.0", "cudnn": "9.24.0"}
ON_GPU["jobs_per_gpu"] = 1


def test_twins_on_different_devices_are_a_warning_and_a_limit_in_one_line(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    assert "device" not in answer.warnings(evidence(fake))
    fake.edit_provenance("torch", device="NVIDIA A100", accelerator=ON_GPU)
    found = evidence(fake)
    assert "device" in answer.warnings(found) and "confounded" in limits(found)
    said = limits(found)["different hardware"]
    assert "NVIDIA A100" in said and "cpu" in said and "\n" not in said
    assert "one device" not in limits(found)
    (row,) = comparisons_table(found).rows
    assert row[0] == "torch, keras (device differs)"
    assert "framework and device differ" in row[-1]


def test_a_pair_in_another_precision_is_named_so(tmp_path):
    fake = FakeStudy(tmp_path, {"a": FakeRun(), "b": FakeRun(noise=1)}, images=100)
    fake.edit_provenance("b", precision="bfloat16")
    (row,) = comparisons_table(evidence(fake)).rows
    assert row[0] == "a, b (precision differs)"
    fake.edit_provenance("b", device="another")
    (row,) = comparisons_table(evidence(fake)).rows
    assert row[0] == "a, b (device and precision differ)"


def test_another_driver_for_one_seed_alone_is_different_hardware(tmp_path):
    fake = FakeStudy(tmp_path, {"a": FakeRun()}, (0, 1, 2), images=100)
    for seed, driver in enumerate(["580.95.05", "580.95.05", "535.129.03"]):
        used = ON_GPU | {"driver": driver}
        fake.edit_provenance("a", seed, device="NVIDIA A100", accelerator=used)
    said = limits(evidence(fake))["different hardware"]
    assert said.count("535.129.03") == said.count("580.95.05") == said.count("A100") == 1


def test_a_gpu_that_a_framework_could_not_use_is_a_limit_with_its_cure(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, (0, 1), images=100)
    assert "unused GPU" not in limits(evidence(fake))
    for seed in (0, 1):
        fake.edit_provenance("keras", seed, device_note="no CUDA; run `make .venv`")
    assert limits(evidence(fake))["unused GPU"] == "keras: no CUDA; run `make .venv`."


def test_a_training_resumed_under_other_conditions_is_a_limit_that_names_them(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, (0, 1), images=100)
    assert "resumed inexactly" not in limits(evidence(fake))
    for seed in (0, 1):
        fake.edit_provenance("keras", seed, resumed_inexactly=["threads: 1 then, 2 now"])
    said = limits(evidence(fake))["resumed inexactly"]
    assert "keras (threads: 1 then, 2 now)." in said and "torch" not in said and "\n" not in said


def test_times_of_trainings_that_shared_a_gpu_are_a_limit(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    fake.edit_provenance("torch", accelerator=ON_GPU)
    assert "shared GPU" not in limits(evidence(fake))
    fake.edit_provenance("torch", accelerator=ON_GPU | {"jobs_per_gpu": 4})
    assert "4 jobs" in limits(evidence(fake))["shared GPU"]


def test_the_software_of_a_gpu_stands_among_the_libraries(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    fake.edit_provenance("torch", accelerator=ON_GPU | {"cudnn": None})
    rows = {row[0]: row[1:] for row in provenance.software(evidence(fake)).rows}
    assert rows["GPU driver"] == ["580.95.05", "-"] and rows["CUDA"] == ["13.0", "-"]
    assert "cuDNN" not in rows


def test_synthetic_images_are_never_taken_for_cifar10(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    for run in TWINS:
        fake.edit_provenance(run, dataset={**DATASET, "source": "synthetic"})
    found = evidence(fake)
    assert "synthetic images" in answer.warnings(found) and "synthetic images" in limits(found)
    real = evidence(FakeStudy(tmp_path, TWINS, images=100))
    kinds = {methods.data(each)[0].rpartition(": ")[2] for each in (found, real)}
    assert len(kinds) == 2


def test_a_limit_of_images_is_named(tmp_path):
    fake = FakeStudy(tmp_path, images=100)
    limited, full = evidence(fake, statistics=data_statistics(limit=500)), evidence(fake)
    assert "500" in methods.data(limited)[-1] and "500" in limits(limited)["fewer images"]
    assert len(reported.reported_limits(limited)) == 1 + len(reported.reported_limits(full))


def test_code_with_changes_or_without_a_commit_is_a_limit(tmp_path):
    fake = FakeStudy(tmp_path, images=100)
    fake.edit_provenance("pytorch-scratch", git={"commit": "abc", "dirty": True})
    fake.edit_provenance("tensorflow-scratch", git={"commit": None, "dirty": None})
    assert {"changed code", "unknown code", "several commits"} <= set(limits(evidence(fake)))


# --- The answer --------------------------------------------------------------------------------


@pytest.mark.parametrize(("accuracy", "supported"), [(0.7, False), (0.2, True)])
def test_the_first_place_is_supported_by_the_test_or_not(tmp_path, accuracy, supported):
    runs = {"a": FakeRun(noise=1), "b": FakeRun(accuracy=accuracy, noise=2)}
    found = evidence(FakeStudy(tmp_path, runs, images=200))
    assert answer.first_two(found) == ("a", "b", supported)


def test_a_run_beside_collapsed_ones_alone_is_no_winner_over_them(tmp_path):
    name = "tensorflow-scratch"
    runs = {run: replace(each, collapsed=run != name) for run, each in FOUR.items()}
    assert answer.first_two(evidence(FakeStudy(tmp_path, runs))) == (name, None, False)


def test_several_pairs_are_counted_by_what_they_favour(tmp_path):
    runs = {
        "small": FakeRun(accuracy=0.3, noise=1),
        "large": FakeRun(accuracy=0.33, noise=2),
        "tuned": FakeRun(accuracy=0.9, noise=3, weights="imagenet"),
    }
    found = evidence(FakeStudy(tmp_path, runs))
    assert answer.wins(found.comparisons, found.pretrained) == (2, 0)
    assert answer.wins(found.comparisons, lambda run: run == "small") == (0, 2)
    assert "2 pairs" in answer.answer(found)[0]


@pytest.mark.parametrize("collapsed", [False, True])
def test_a_single_run_is_reported_without_comparisons(tmp_path, collapsed):
    found = evidence(FakeStudy(tmp_path, {"alone": FakeRun(collapsed=collapsed)}))
    assert found.labels["alone"] in answer.answer(found)[0]
    assert ("collapsed" in answer.answer(found)[0]) == collapsed
    assert "one device" not in limits(found)
    steps = discussion.next_steps(found)
    assert len(steps) == 1 + collapsed and not any("seeds" in step for step in steps)
    assert "p (Holm)" not in render(TEMPLATE, found)
    assert reported.reported(found).rows == reported.reported_limits(found) == []


def test_with_native_runs_the_effect_of_the_defaults_is_reported(tmp_path):
    settings = {**SETTINGS, "protocol": "native"}
    native = {
        f"{name}-native": replace(run, noise=run.noise + 2, settings=settings)
        for name, run in TWINS.items()
    }
    found = evidence(FakeStudy(tmp_path, TWINS | native))
    (gap,) = found.default_gaps
    (row,) = default_gaps(found).rows
    assert row[2:] == [str(gap.native), str(gap.harmonised), str(gap.defaults)]
    text = render(TEMPLATE, found)
    assert all(cell in text for cell in row)


# --- Tables ------------------------------------------------------------------------------------


def test_reported_and_measured_numbers_stand_side_by_side(tmp_path):
    found = evidence(FakeStudy(tmp_path, images=100))
    rows = {row[0]: row[1:4] for row in reported.reported(found).rows}
    measured = 100 * found.runs["pytorch-scratch"]["test_accuracy"].item()
    expected = ["70.93 %", f"{measured:.2f} %", f"{measured - 70.93:.2f}"]
    assert rows["pytorch-scratch"] == expected
    (epochs,) = [text for text in reported.reported_limits(found) if "(10 there; 8 here" in text]
    assert "pytorch-scratch" in epochs
    assert reported.reported(replace(found, reference=None)).rows == []


def test_settings_that_differ_stand_apart_from_the_shared_ones(tmp_path):
    found = evidence(FakeStudy(tmp_path, images=100))
    common = methods.common_settings(found).rows
    assert common[1:] == [
        ["`protocol`", "harmonised"],
        ["`precision`", "float32"],
        ["`epochs`", "8"],
    ]
    expected = ["`learning_rate`", "0.001", "0.0001", "0.001", "0.0001"]
    assert methods.own_settings(found).rows == [expected]


def test_a_failed_parity_check_and_a_failed_audit_stand_out(tmp_path):
    found = flawed(tmp_path)
    assert methods.parity(found).rows == [
        ["forward", "1e-07", "1e-05", "fraction", "rounding"],
        ["adam", "**1 FAILS**", "1e-05", "fraction", "rounding"],
    ]
    loud = "**NOT ACCOUNTED FOR**"
    assert methods.audited(found).rows[0] == ["padding", "1 (Conv2d)", "2 (Conv2D)", loud, ""]
    check, audit = methods.parity_findings(found)
    assert check.startswith("**") and all(word in check for word in ("alexnet", "adam", "forward"))
    assert audit.startswith("**") and "padding" in audit


def test_several_cases_share_the_tables_of_parity(tmp_path):
    parity = pd.concat([PARITY, PARITY[:1].assign(case="vgg16")]).assign(passed=True)
    audit = pd.concat([AUDIT, AUDIT.assign(case="vgg16")]).assign(status="same")
    found = evidence(FakeStudy(tmp_path, images=50), parity=parity, audit=audit)
    assert methods.parity(found).header[1:3] == ["alexnet", "vgg16"]
    assert [row[1:3] for row in methods.parity(found).rows] == [["1e-07", "1e-07"], ["1", "-"]]
    assert [row[0] for row in methods.audited(found).rows] == ["loss", "padding"]
    assert not any("**" in text for text in methods.parity_findings(found))


def test_all_that_the_sections_say_is_rendered(tmp_path):
    found = flawed(tmp_path)
    text = render(TEMPLATE, found)
    for name, section in SECTIONS.items():
        said = section(found)
        if isinstance(said, Table):
            said = [cell for row in [said.header, *said.rows] for cell in row]
        for each in [said] if isinstance(said, str) else said:
            assert getattr(each, "summary", each) in text or name.startswith("default"), name


def test_every_table_is_whole_and_no_cell_breaks_it(tmp_path):
    fake = FakeStudy(tmp_path, COLLAPSED, images=100)
    fake.edit_provenance("pytorch-scratch", layers=["a | b", "two\nlines"])
    text = render(TEMPLATE, evidence(fake, parity=PARITY, audit=AUDIT))
    assert "a \\| b" in text and "two lines" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(tables) > 12
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
