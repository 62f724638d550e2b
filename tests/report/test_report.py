"""What the report says: flaws are named where the numbers stand, sound studies get no warnings."""

import re
from dataclasses import replace

import numpy as np
import pytest
from analysis.fake_study import DATASET, DIAGNOSIS, FOUR, SETTINGS, FakeRun, FakeStudy
from report.samples import AUDIT, PARITY, REFERENCE, TEMPLATES, data_statistics
from scipy.special import stdtrit
from twinbench.analysis import comparisons, metrics, naming, study_results, tables
from twinbench.config.reference import Reference, ReportedRun, read_reference
from twinbench.language import Language
from twinbench.report import answer, appendices, mistakes, outcomes, render, repeat, reported
from twinbench.report.blocks import Block, Bullets, Cell, Code, Folded, Report, Table, Text
from twinbench.report.caveats import applying
from twinbench.report.contents import report
from twinbench.report.contrasts import contrasts, default_gaps, settling, single_seeds
from twinbench.report.evidence import Evidence
from twinbench.report.inputs import Given, ReportSettings
from twinbench.training.recorded import NO_CHANGE

CHANCE_LOSS = "ln 10 = 2.303"
TWINS = {"torch": FakeRun(noise=1), "keras": FakeRun("tensorflow", noise=2)}
PRETRAINED = FakeRun(weights="imagenet", accuracy=0.9, noise=3)
COLLAPSED = {**FOUR, "pytorch-pretrained": replace(FOUR["pytorch-pretrained"], collapsed=True)}
PASSED = {"parity": PARITY.assign(passed=True), "audit": AUDIT.assign(status="same")}


def evidence(fake: FakeStudy, *, given: Given | None = None, settings=None, **changes) -> Evidence:
    """The evidence of a fake study."""
    folder = fake.directory.parent
    tables.write(metrics.evaluate(fake.models), folder / "metrics.csv")
    comparisons.write(comparisons.compare(fake.models, 0.01), folder / "comparisons.csv")
    texts = {"study": "fake", "title": "A title", "introduction": "", "language": "en"}
    texts |= {"archive_sha256": "ab" * 32, "official_archive": True, "equivalence_margin": 0.01}
    found = {
        "say": Language(),
        "settings": ReportSettings(**dict(fake.settings), **texts | (settings or {})),
        "given": given or Given(),
        "results": study_results.read(
            fake.directory, fake.settings, folder / "metrics.csv", folder / "comparisons.csv"
        ),
        "statistics": data_statistics(),
        "reference": read_reference(REFERENCE),
        "figures": [],
        "parity": None,
        "audit": None,
    }
    return Evidence(**{**found, **changes})


def flawed(folder) -> Evidence:
    """One seed, synthetic weights, a collapsed run, a failed parity check and a failed audit."""
    return evidence(FakeStudy(folder, COLLAPSED, images=400), parity=PARITY, audit=AUDIT)


def replace_run(reference: Reference, run: str, **changes) -> Reference:
    changed = reference.runs[run].model_copy(update=changes)
    return reference.model_copy(update={"runs": {**reference.runs, run: changed}})


def every(blocks: list[Block]) -> list[Block]:
    """The blocks, folded ones too."""
    folded = [inner for block in blocks if isinstance(block, Folded) for inner in block.blocks]
    return [*blocks, *(every(folded) if folded else [])]


def table(blocks: list[Block], name: str) -> list[list[str]]:
    """The texts of a table's rows."""
    (found,) = (each for each in every(blocks) if isinstance(each, Table) and each.name == name)
    return [[c.text if isinstance(c, Cell) else c for c in row] for row in found.rows]


def words(blocks: list[Block]) -> str:
    """The running text of the blocks."""
    texts = [block.text for block in every(blocks) if isinstance(block, Text)]
    for block in every(blocks):
        texts += block.texts if isinstance(block, Bullets) else []
    return "\n".join(texts)


def markdown(written: Report) -> str:
    return render.markdown(written, TEMPLATES, "figures")


# --- The answer --------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize(
    "runs",
    [
        {"alone": FakeRun()},
        TWINS,
        FOUR,
        COLLAPSED,
        {name: replace(run, collapsed=True) for name, run in FOUR.items()},
        {f"run-{n}": FakeRun(noise=n, settings={**SETTINGS, "epochs": n + 3}) for n in range(10)},
        {"x" * 64: FakeRun(), "y" * 64: replace(PRETRAINED, framework="tensorflow")},
    ],
)
def test_the_answer_is_short_and_without_p_values_and_names_of_runs(tmp_path, runs, seeds):
    found = answer.answer(evidence(FakeStudy(tmp_path, runs, seeds, 200), **PASSED))
    assert len(found) >= 1 and sum(len(text.split()) for text in found) <= answer.MOST_WORDS
    said = " ".join(found)
    assert "p =" not in said and "p <" not in said
    if "recipe" not in said:  # of which each run is one
        assert not any(run in said for run in runs)


def test_a_clear_gap_has_a_side_that_is_ahead(tmp_path):
    runs = {"scratch": FakeRun(accuracy=0.5), "pretrained": PRETRAINED}
    first, best = answer.answer(evidence(FakeStudy(tmp_path, runs)))
    assert re.fullmatch(
        r"\*\*Scratch or pretrained\?\*\* Pretrained is ahead by \d+\.\d percentage points\.", first
    )
    assert "AlexNet in PyTorch (ImageNet weights)" in best


def test_equal_methods_of_one_seed_are_open(tmp_path):
    (first, _) = answer.answer(evidence(FakeStudy(tmp_path, TWINS)))
    assert first.startswith("**PyTorch or TensorFlow?** Open:")


def test_what_the_runs_cannot_tell_is_not_answered(tmp_path):
    first, second, _ = answer.answer(evidence(FakeStudy(tmp_path, FOUR)))
    assert re.fullmatch(
        r"\*\*Scratch or pretrained\?\*\* Pretrained \d\d\.\d to \d\d\.\d %, from scratch "
        r"\d\d\.\d to \d\d\.\d %; but the networks differ too, so the cause cannot be named\.",
        first,
    )
    assert second.startswith("**PyTorch or TensorFlow?** Open")


def test_the_parts_of_an_answer_add_up_however_many_win(tmp_path):
    runs = {
        f"run-{n}": FakeRun(
            noise=n, accuracy=0.3 + 0.06 * n, settings={**SETTINGS, "epochs": n + 3}
        )
        for n in range(8)
    }
    first, *_ = answer.answer(evidence(FakeStudy(tmp_path, runs)))
    total, *parts = map(int, re.findall(r"\d+", first))
    assert "have a winner" in first and total == sum(parts) == 28


def test_a_tie_has_no_better_side(tmp_path):
    runs = {**TWINS, "keras": replace(TWINS["keras"], noise=TWINS["torch"].noise)}
    first, *_ = answer.answer(evidence(FakeStudy(tmp_path, runs)))
    assert first == (
        "**PyTorch or TensorFlow?** Open: no difference was seen, but other trainings could show one."
    )


def test_pretrained_networks_without_a_control_are_no_collapse(tmp_path):
    runs = {
        "a": replace(FOUR["pytorch-pretrained"], weights="imagenet"),
        "b": FOUR["tensorflow-pretrained"],
    }
    first, *_ = answer.answer(evidence(FakeStudy(tmp_path, runs, images=200)))
    assert first == (
        "**Which initial weights?** Not answered: wherever that differs, the networks differ too."
    )


@pytest.mark.parametrize("changes", [{"device": "NVIDIA A100"}, {"precision": "bfloat16"}])
@pytest.mark.parametrize("settings", [SETTINGS, {**SETTINGS, "learning_rate": 0.1}])
def test_a_question_that_other_hardware_hides_is_not_answered_for_that_reason(
    tmp_path, settings, changes
):
    fake = FakeStudy(tmp_path, {"a": FakeRun(), "b": FakeRun("tensorflow")}, images=200)
    if settings != SETTINGS:
        fake = FakeStudy(tmp_path, {"a": FakeRun(), "b": FakeRun(settings=settings)}, images=200)
    fake.edit_provenance("b", **changes)
    first, *_ = answer.answer(evidence(fake))
    assert first.endswith("** Not answered: such trainings differ in device or precision, too.")


def test_runs_that_are_alike_are_called_by_their_names(tmp_path):
    stuck = FakeRun(collapsed=True, settings={**SETTINGS, "learning_rate": 1.0})
    runs = {"a": FakeRun(), "b": stuck, "c": FakeRun(noise=3, settings={**SETTINGS, "epochs": 9})}
    found = answer.answer(evidence(FakeStudy(tmp_path, runs, images=200)))
    assert found[0] == "**b collapsed:** a failure, not a result."
    assert re.search(r", [ac]\.$", found[-1])


def test_no_question_is_left_out_for_the_sake_of_brevity(tmp_path):
    changes = [{}, {"protocol": "native"}, {"epochs": 9}, {"learning_rate": 0.1}]
    runs = {f"torch-{n}": FakeRun(noise=n, settings=SETTINGS | c) for n, c in enumerate(changes)}
    runs |= {"keras": FakeRun("tensorflow", noise=9), "tuned": PRETRAINED}
    runs |= {"vgg": FakeRun(model="vgg16", noise=8), "dead": replace(PRETRAINED, collapsed=True)}
    found = evidence(FakeStudy(tmp_path, runs, images=200), **PASSED)
    questions = {pair.question for pair in found.contrasts.values()} - {"repetition"}
    said = " ".join(answer.answer(found))
    assert len(questions) == 5
    assert all(naming.question(found.results, each, found.say) in said for each in questions)


def test_pairs_of_pretrained_runs_are_not_asked_whether_they_are_pretrained(tmp_path):
    runs = {"scratch": FakeRun(), "a": PRETRAINED, "b": replace(PRETRAINED, weights="synthetic")}
    first, *_ = answer.answer(evidence(FakeStudy(tmp_path, runs, images=200)))
    assert first.startswith("**Which initial weights?**")


def test_failures_come_first(tmp_path):
    first, second, *_ = answer.answer(flawed(tmp_path))
    assert "do not run the same experiment" in first and "collapsed" in second


def test_badges_tell_what_is_doubtful(tmp_path):
    sound = FakeStudy(tmp_path / "sound", {**TWINS, "tuned": PRETRAINED}, (0, 1, 2), 100)
    assert not [b for b in answer.badges(evidence(sound, **PASSED)) if b.good is False]
    badges = answer.badges(flawed(tmp_path / "flawed"))
    doubtful = {badge.text for badge in badges if badge.good is False}
    assert doubtful == {"synthetic weights, not ImageNet's", "parity 1 of 2, FAILS", "1 seed"}


@pytest.mark.parametrize(
    ("changes", "settings", "badge"),
    [
        ({}, {}, "official CIFAR-10, 100 test images"),
        ({}, {"official_archive": False}, "images not from the official archive"),
        ({"statistics": data_statistics(limit=500)}, {}, "part of the official CIFAR-10"),
        ({"own": True}, {"official_archive": False}, "your own images, not CIFAR-10"),
    ],
)
def test_the_origin_of_the_images_is_a_badge(tmp_path, changes, settings, badge):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    if changes.pop("own", False):
        for run in TWINS:
            fake.edit_provenance(run, dataset=DATASET | {"class_names": list("abcdefghij")})
    found = evidence(fake, settings=settings, **changes)
    assert answer.badges(found)[0].text == badge


@pytest.mark.parametrize(
    ("git", "badge", "good"),
    [
        ({"commit": "0123456789", "dirty": False}, "commit 0123456, clean", True),
        ({"commit": "0123456789", "dirty": True}, "commit 0123456 with changes", False),
        ({"commit": "0123456789", "dirty": None}, "commit 0123456", None),
        ({"commit": None, "dirty": None}, "unknown version of the code", False),
    ],
)
def test_the_version_of_the_code_is_a_badge(tmp_path, git, badge, good):
    fake = FakeStudy(tmp_path, {"a": FakeRun()}, images=100)
    fake.edit_provenance("a", git=git)
    last = answer.badges(evidence(fake))[-1]
    assert (last.text, last.good) == (badge, good)


# --- Contrasts ---------------------------------------------------------------------------------


def test_planned_contrasts_have_verdicts_and_other_pairs_have_none(tmp_path):
    found = contrasts(evidence(FakeStudy(tmp_path, FOUR)))
    ((name, *_, verdict),) = table(found, "contrasts")
    assert name.startswith("PyTorch minus TensorFlow (") and verdict == "open"
    assert len(table(found, "other-pairs")) == 5
    assert {"weights, network"} <= {row[-1] for row in table(found, "other-pairs")}


def test_the_settings_that_differ_are_named_beside_a_contrast(tmp_path):
    other = FakeRun(settings={**SETTINGS, "epochs": 9, "schedule": {"shape": "linear"}})
    fake = FakeStudy(tmp_path, {"a": FakeRun(noise=1), "b": other})
    said = words(contrasts(evidence(fake)))
    assert ": trained with different `epochs` and `schedule.shape`." in said
    same = FakeStudy(tmp_path / "same", TWINS)
    assert "trained with different" not in words(contrasts(evidence(same)))


def test_one_seed_is_said_to_compare_trained_networks(tmp_path):
    fake = FakeStudy(tmp_path / "one", TWINS)
    assert "the two trained networks differ by" in words(contrasts(evidence(fake)))
    fake = FakeStudy(tmp_path / "three", {**TWINS, "tuned": PRETRAINED}, (0, 1, 2))
    said = words(contrasts(evidence(fake)))
    assert "trained networks differ" not in said and "with a probability of" in said


def test_what_would_settle_an_open_contrast_is_a_command_with_more_seeds(tmp_path):
    given = Given(files=["config/my study.yaml"], values={"study": "x"})
    found = settling(evidence(FakeStudy(tmp_path, TWINS, (0, 7), 10_000), given=given))
    (command,) = (block.text for block in every(found) if type(block).__name__ == "Code")
    assert command.startswith("snakemake --cores all --configfile 'config/my study.yaml' --config")
    seeds = re.search(r"seeds=\[([\d, ]+)]", command)
    assert seeds and seeds[1].startswith("0, 7, 1") and 'study="x"' in command


@pytest.mark.parametrize(("seeds", "least"), [((0,), True), ((0, 1), False)])
def test_from_one_seed_the_seeds_that_settle_are_the_least(tmp_path, seeds, least):
    found = words(settling(evidence(FakeStudy(tmp_path, TWINS, seeds, 500))))
    assert ("these are minimums" in found) == least


def test_a_contrast_that_no_seeds_would_settle_is_named(tmp_path):
    found = evidence(FakeStudy(tmp_path, TWINS, images=100))
    pairs = [replace(pair, seeds_to_settle=np.nan) for pair in found.results.comparisons]
    found = replace(found, results=replace(found.results, comparisons=pairs))
    assert table(settling(found), "settling")[0][1] == "more than 100"


def test_each_seed_alone_is_shown_where_there_are_several(tmp_path):
    assert single_seeds(evidence(FakeStudy(tmp_path / "one", TWINS))) == []
    found = single_seeds(evidence(FakeStudy(tmp_path / "two", TWINS, (3, 5))))
    ((name, *claims),) = table(found, "single-seeds")
    assert name.startswith("PyTorch minus TensorFlow") and len(claims) == 2
    assert "of 2 seeds alone" in words(found)


def test_the_spread_between_trainings_is_shown_from_three_seeds_on(tmp_path):
    two = single_seeds(evidence(FakeStudy(tmp_path / "two", TWINS, (0, 1), 500)))
    assert "endless test images" not in words(two)
    found = single_seeds(evidence(FakeStudy(tmp_path / "three", TWINS, (0, 1, 2), 500)))
    assert [row[0] for row in table(found, "spread")] == list(TWINS)
    alone = evidence(FakeStudy(tmp_path / "alone", {"torch": FakeRun()}, (0, 1, 2), 500))
    assert [row[0] for row in table(single_seeds(alone), "spread")] == ["torch"]


def test_with_native_runs_the_effect_of_the_defaults_is_reported(tmp_path):
    settings = {**SETTINGS, "protocol": "native"}
    native = {
        f"{name}-native": replace(run, noise=run.noise + 2, settings=settings)
        for name, run in TWINS.items()
    }
    found = evidence(FakeStudy(tmp_path, TWINS | native))
    assert [part.name for part in report(found).sections].count("defaults") == 1
    (gap,) = found.default_gaps
    assert "No effect of the defaults is shown." in words(default_gaps(found))
    # So clear that it is one in thirty by luck: shown of one network, and of three not of each.
    error, freedom = gap.defaults.standard_error, gap.defaults.degrees_of_freedom
    clear = replace(gap.defaults, difference=float(stdtrit(freedom, 1 - 1 / 60) * error))
    for count, shown in ((1, True), (3, False)):
        found.__dict__["default_gaps"] = [replace(gap, defaults=clear)] * count
        assert ("make a difference of their own" in words(default_gaps(found))) == shown


def test_networks_alike_but_for_settings_are_numbered_in_the_table_of_the_defaults(tmp_path):
    kinds = [("none", 0.001), ("none", 0.01), ("imagenet", 0.001)]
    runs = {
        f"{name}-{weights}-{rate:g}-{protocol}": replace(
            run,
            weights=weights,
            settings={**SETTINGS, "learning_rate": rate, "protocol": protocol},
        )
        for name, run in TWINS.items()
        for weights, rate in kinds
        for protocol in ("harmonised", "native")
    }
    rows = table(default_gaps(evidence(FakeStudy(tmp_path, runs, images=200))), "defaults")
    assert [row[0].partition(" (")[2] for row in rows] == ["1)", "2)", ""]


# --- Flaws -------------------------------------------------------------------------------------


def test_sound_runs_get_no_caveats_but_that_of_their_device(tmp_path):
    found = evidence(FakeStudy(tmp_path, TWINS, (0, 1, 2, 3, 4)), **PASSED)
    assert set(applying(found)) == {"one device"}
    assert outcomes.collapses(found) == []


def test_each_flaw_is_a_caveat(tmp_path):
    found = applying(flawed(tmp_path))
    assert set(found) == {"synthetic weights", "few seeds", "collapsed", "one device"}
    assert "here 0.5 pp" in found["few seeds"]
    assert "tensorflow-pretrained" in found["synthetic weights"]


def test_marks_stand_beside_the_name_in_every_table_of_runs(tmp_path):
    found = flawed(tmp_path)
    rows = (
        table(outcomes.results(found), "results"),
        table(outcomes.costs(found), "cost"),
        table(reported.reported(found), "reported"),
    )
    for each in rows:
        names = {row[0].split(" ")[0]: row[0] for row in each}
        assert names.keys() == FOUR.keys()
        assert "collapsed" in names["pytorch-pretrained"]
        assert "synthetic weights" in names["tensorflow-pretrained"]
        assert names["pytorch-scratch"] == "pytorch-scratch"


def test_a_collapse_is_explained_only_where_there_is_one(tmp_path):
    text = markdown(report(flawed(tmp_path / "collapsed")))
    assert DIAGNOSIS in text and CHANCE_LOSS in text and "dead ReLUs" in text
    assert "dead ReLUs" not in markdown(report(evidence(FakeStudy(tmp_path / "sound", TWINS))))
    frozen = FakeStudy(tmp_path / "frozen", {"a": FakeRun(collapsed=True)})
    frozen.edit_provenance("a", diagnosis=NO_CHANGE.format(step=25))
    assert "dead ReLUs" not in markdown(report(evidence(frozen)))


def test_a_collapsed_run_has_no_interval_and_no_difference(tmp_path):
    found = flawed(tmp_path)
    (row,) = (r for r in table(outcomes.results(found), "results") if "collapsed" in r[0])
    assert row[3] == "10.0 %"
    (row,) = (r for r in table(reported.reported(found), "reported") if "collapsed" in r[0])
    assert row[2:4] == ["10.0 %", "-"]


def test_an_end_of_an_interval_near_zero_shows_its_side(tmp_path):
    found = evidence(FakeStudy(tmp_path, TWINS))
    pairs = [
        replace(p, difference_low=-0.03, difference_high=-0.0003) for p in found.results.comparisons
    ]
    found = replace(found, results=replace(found.results, comparisons=pairs))
    assert table(contrasts(found), "contrasts")[0][2] == "-3.00 to -0.03"


def test_collapsed_runs_are_compared_nowhere(tmp_path):
    runs = {**TWINS, "stuck": replace(TWINS["torch"], collapsed=True, weights="imagenet")}
    found = contrasts(evidence(FakeStudy(tmp_path, runs)))
    assert len(table(found, "contrasts")) == 1
    assert "1 contrast with a collapsed run is left out" in words(found)
    runs = {name: replace(run, collapsed=True) for name, run in TWINS.items()}
    found = contrasts(evidence(FakeStudy(tmp_path / "all", runs)))
    assert words(found).startswith("1 contrast with a collapsed run is left out")
    assert not any(isinstance(block, Folded) and "pair" in block.summary for block in found)


@pytest.mark.parametrize(
    ("asked", "bfloat16", "warned"),
    [("auto", ["torch"], True), ("auto", ["torch", "keras"], False), ("float32", ["torch"], False)],
)
def test_a_precision_that_auto_chose_for_some_runs_alone_is_a_caveat(
    tmp_path, asked, bfloat16, warned
):
    settings = {**SETTINGS, "precision": asked}
    runs = {name: replace(run, settings=settings) for name, run in TWINS.items()}
    fake = FakeStudy(tmp_path, runs, images=100)
    for run in bfloat16:
        fake.edit_provenance(run, precision="bfloat16")
    found = applying(evidence(fake))
    assert ("precision" in found) == warned
    if warned:
        assert "torch (0)" in found["precision"] and "keras" not in found["precision"]


ON_GPU = {"compute_capability": "8.0", "driver": "580.95.05", "cuda": "13.0", "cudnn": "9.24.0"}
ON_GPU["jobs_per_gpu"] = 1


def test_twins_on_different_devices_are_no_planned_contrast_and_a_caveat(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    fake.edit_provenance("torch", device="NVIDIA A100", accelerator=ON_GPU)
    found = evidence(fake)
    assert found.contrasts == {}
    assert table(contrasts(found), "other-pairs")[0][-1] == "framework, device"
    said = applying(found)["different hardware"]
    assert "NVIDIA A100" in said and "cpu" in said and "\n" not in said
    assert "one device" not in applying(found)


def test_another_driver_for_one_seed_alone_is_different_hardware(tmp_path):
    fake = FakeStudy(tmp_path, {"a": FakeRun()}, (0, 1, 2), images=100)
    for seed, driver in enumerate(["580.95.05", "580.95.05", "535.129.03"]):
        used = ON_GPU | {"driver": driver}
        fake.edit_provenance("a", seed, device="NVIDIA A100", accelerator=used)
    said = applying(evidence(fake))["different hardware"]
    assert said.count("535.129.03") == said.count("580.95.05") == said.count("A100") == 1


def test_a_gpu_that_a_framework_could_not_use_is_a_caveat_with_its_cure(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, (0, 1), images=100)
    assert "unused GPU" not in applying(evidence(fake))
    for seed in (0, 1):
        fake.edit_provenance("keras", seed, device_note="no CUDA; run `make .venv`")
    assert applying(evidence(fake))["unused GPU"] == "keras: no CUDA; run `make .venv`."


def test_a_training_resumed_under_other_conditions_is_a_caveat_that_names_them(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, (0, 1), images=100)
    assert "resumed inexactly" not in applying(evidence(fake))
    for seed in (0, 1):
        fake.edit_provenance("keras", seed, resumed_inexactly=["threads: 1 then, 2 now"])
    said = applying(evidence(fake))["resumed inexactly"]
    assert "keras (threads: 1 then, 2 now)." in said and "torch" not in said and "\n" not in said


def test_times_of_trainings_that_shared_a_gpu_are_a_caveat(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    fake.edit_provenance("torch", accelerator=ON_GPU)
    assert "shared GPU" not in applying(evidence(fake))
    fake.edit_provenance("torch", accelerator=ON_GPU | {"jobs_per_gpu": 4})
    assert "4 jobs" in applying(evidence(fake))["shared GPU"]


def test_synthetic_images_are_never_taken_for_cifar10(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    for run in TWINS:
        fake.edit_provenance(run, dataset={**DATASET, "source": "synthetic"})
    found = evidence(fake)
    assert "synthetic images" in applying(found)
    assert answer.badges(found)[0].text == "synthetic images, not CIFAR-10"
    assert "cannot be compared" not in words(reported.reported(found))  # no run is in the reference


def test_results_reported_of_own_images_are_compared(tmp_path):
    fake = FakeStudy(tmp_path, images=100)
    for run in FOUR:
        fake.edit_provenance(run, dataset=DATASET | {"class_names": list("abcdefghij")})
    reference = read_reference(REFERENCE).model_copy(update={"dataset": "own"})
    found = evidence(fake, settings={"official_archive": False}, reference=reference)
    assert "cannot be compared" not in words(reported.reported(found))


def test_the_command_to_repeat_it_says_where_the_config_is_another_one(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    here, there = (
        words(repeat.repeat(evidence(fake, given=Given(elsewhere=elsewhere))))
        for elsewhere in (False, True)
    )
    assert "this study's config" in there and "this study's config" not in here


def test_a_paper_that_reports_accuracies_alone_is_enough(tmp_path):
    reference = read_reference(REFERENCE)
    runs = {name: ReportedRun(test_accuracy=0.1) for name in reference.runs}
    fake = FakeStudy(tmp_path, images=100)
    found = evidence(fake, reference=reference.model_copy(update={"runs": runs}))
    shown = table(reported.reported(found), "reported")
    assert len(shown) == 4 and all(row[-1].startswith("-, ") for row in shown)
    assert "had collapsed there" not in words(reported.reported(found))


@pytest.mark.parametrize(
    ("source", "official", "said"),
    [
        ({}, True, None),
        ({}, False, "**The archive is not the official one**"),
        ({"source": "synthetic"}, False, "**Different images**"),
        ({"class_names": list("abcdefghij")}, False, "**Different images**"),
    ],
)
def test_reported_results_of_perhaps_other_images_are_said_to_be(tmp_path, source, official, said):
    fake = FakeStudy(tmp_path, images=100)
    for run in FOUR:
        fake.edit_provenance(run, dataset=DATASET | source)
    found = reported.reported(evidence(fake, settings={"official_archive": official}))
    assert said in words(found) if said else "archive" not in words(found)
    assert ("could explain a gap of up to" in words(found)) == (not source)
    assert (table(found, "reported")[0][3] == "-") == bool(source)


def test_the_command_to_repeat_it_names_the_commit_if_it_is_one(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    (block, *_) = [b for b in repeat.repeat(evidence(fake)) if isinstance(b, Code)]
    assert block.text.startswith("git checkout 0123456789abcdef\n")
    fake.edit_provenance("keras", git={"commit": "fedc", "dirty": False})
    (block, *_) = [b for b in repeat.repeat(evidence(fake)) if isinstance(b, Code)]
    assert "git checkout" not in block.text


@pytest.mark.parametrize(("largest", "uneven"), [(10, False), (14, False), (40, True)])
def test_classes_of_unequal_size_are_a_caveat(tmp_path, largest, uneven):
    found = evidence(FakeStudy(tmp_path, TWINS, images=100))
    labels = np.concatenate([np.zeros(largest, int), np.resize(np.arange(1, 10), 100 - largest)])
    caveats = applying(replace(found, results=replace(found.results, labels=labels)))
    assert ("airplane" in caveats.get("unequal classes", "")) == uneven


@pytest.mark.parametrize(("epochs", "alone"), [(7, False), (8, True), (9, True)])
def test_a_head_that_was_trained_alone_in_every_epoch_is_a_caveat(tmp_path, epochs, alone):
    tuned = replace(PRETRAINED, settings={**SETTINGS, "head": {"epochs": epochs}})
    found = applying(evidence(FakeStudy(tmp_path, {"a": FakeRun(), "b": tuned}, images=100)))
    assert ("(b)" in found.get("head alone", "")) == alone


def test_trainings_that_have_hardly_begun_are_a_caveat_and_name_no_winner(tmp_path):
    runs = {**TWINS, "keras": replace(TWINS["keras"], accuracy=0.8)}
    fake = FakeStudy(tmp_path, runs)
    assert "hardly trained" not in applying(evidence(fake))
    for run in runs:
        fake.edit_provenance(run, dataset={**DATASET, "train_images": 1000})
    found = evidence(fake)
    assert "hardly trained" in applying(found)
    assert table(contrasts(found), "contrasts")[0][-1] == "open"


def test_a_limit_of_images_is_named(tmp_path):
    limited = evidence(FakeStudy(tmp_path, images=100), statistics=data_statistics(limit=500))
    assert (
        "500" in words(appendices.settings(limited)) and "500" in applying(limited)["fewer images"]
    )
    assert "**Fewer images**" in words(reported.reported(limited))


def test_code_with_changes_or_without_a_commit_is_a_caveat(tmp_path):
    fake = FakeStudy(tmp_path, images=100)
    fake.edit_provenance("pytorch-scratch", git={"commit": "abc", "dirty": True})
    fake.edit_provenance("tensorflow-scratch", git={"commit": None, "dirty": None})
    found = evidence(fake)
    assert {"changed code", "unknown code", "several commits"} <= set(applying(found))
    assert answer.badges(found)[-1].text == "several versions of the code"


# --- Tables ------------------------------------------------------------------------------------


def test_reported_and_measured_numbers_stand_side_by_side(tmp_path):
    found = evidence(FakeStudy(tmp_path, images=10_000))
    rows = {row[0].split(" ")[0]: row for row in table(reported.reported(found), "reported")}
    # 7,093 of 10,000: Wilson's interval by hand.
    assert rows["pytorch-scratch"][1] == "70.9 % (70.0 to 71.8)"
    measured = found.results.accuracies["pytorch-scratch"].mean
    assert rows["pytorch-scratch"][3] == f"{100 * (measured - 0.7093):.1f} pp"
    said = words(reported.reported(found))
    assert "70.93 % and 73.02 % are 2.1 pp apart" in said
    assert (
        "pytorch-pretrained had collapsed there" in said and "tensorflow-pretrained had" not in said
    )


def test_of_reported_results_only_what_learned_there_and_here_is_compared(tmp_path):
    reference = read_reference(REFERENCE)
    guessed = replace_run(reference, "pytorch-scratch", test_accuracy=0.1, train_loss=2.303)
    found = evidence(FakeStudy(tmp_path / "there", images=500), reference=guessed)
    said = words(reported.reported(found))
    assert "pytorch-scratch had collapsed there" in said and "One training each" not in said
    for loss in (0.05, None):
        learned = replace_run(reference, "pytorch-scratch", test_accuracy=0.1, train_loss=loss)
        other = replace(found, reference=learned)
        assert "pytorch-scratch had collapsed" not in words(reported.reported(other))
    runs = {**FOUR, "pytorch-scratch": replace(FOUR["pytorch-scratch"], collapsed=True)}
    fake = FakeStudy(tmp_path / "here", runs, images=500)
    history = fake.folder("pytorch-scratch") / "history.csv"
    history.write_text("".join(history.read_text().splitlines(keepends=True)[:2]))
    fake.edit_provenance("pytorch-scratch", 0, epochs_run=1, selected_epoch=1)
    lengths = {model.provenance.epochs_run for model in fake.models if not model.collapsed}
    same = reference.model_copy(update={"epochs": lengths.pop()})
    said = words(reported.reported(evidence(fake, reference=same)))
    assert "Different lengths" not in said and "One training each" not in said


def test_runs_of_other_names_have_no_reported_results(tmp_path):
    assert reported.reported(evidence(FakeStudy(tmp_path, TWINS, images=100))) == []


def test_classes_show_what_is_right_and_what_is_confused(tmp_path):
    fake = FakeStudy(tmp_path, {"a": FakeRun()}, (0, 1), images=400)
    found = evidence(fake)
    right = found.results.confusions["a"][0, 0] / 80
    ((first, cell), *_) = table(mistakes.mistakes(found), "classes")
    assert first == "airplane" and cell.startswith(f"{100 * right:.0f} %")
    assert "taken for" in table(mistakes.mistakes(found), "confusions")[0][1]


def test_a_network_that_is_too_sure_is_said_to_be(tmp_path):
    # Logits of 6 beside others near 0: confident, and right in seven of ten images.
    said = words(mistakes.calibration(evidence(FakeStudy(tmp_path, {"a": FakeRun()}))))
    assert "Overconfident: a." in said and "Underconfident" not in said


def test_the_software_of_a_gpu_stands_among_the_libraries(tmp_path):
    fake = FakeStudy(tmp_path, TWINS, images=100)
    fake.edit_provenance("torch", accelerator=ON_GPU | {"cudnn": None})
    rows = {row[0]: row[1:] for row in table(repeat.repeat(evidence(fake)), "software")}
    assert rows["GPU driver"] == ["580.95.05", "-"] and rows["CUDA"] == ["13.0", "-"]
    assert "cuDNN" not in rows


def test_settings_of_one_run_alone_have_a_table_of_their_own(tmp_path):
    found = appendices.settings(evidence(FakeStudy(tmp_path, FOUR, images=100)))
    assert ["`learning_rate`", "0.001", "0.0001", "0.001", "0.0001"] in table(
        found, "settings-of-runs"
    )
    assert ["`epochs`", "8"] in table(found, "settings")


def test_a_failed_check_and_setting_stand_out(tmp_path):
    found = appendices.parity(flawed(tmp_path))
    assert "**1 FAILS**" in table(found, "parity-checks")[1]
    assert table(found, "parity-audit")[0][3] == "**NOT ACCOUNTED FOR**"
    assert words(found).count("**") == 4  # both findings


# --- The whole ---------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [{"alone": FakeRun()}, TWINS, FOUR, COLLAPSED])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2, 3, 4)])
def test_no_heading_is_without_content_and_nothing_is_said_twice(tmp_path, runs, seeds):
    written = report(evidence(FakeStudy(tmp_path, runs, seeds, 200), **PASSED))
    text = markdown(written)
    assert not re.search(r"^#.*\n+(#|\Z)", text, flags=re.MULTILINE)
    sentences = re.findall(r"[^.|\n]{40,}\.", re.sub(r"\|.*\|", "", text))
    assert len(sentences) == len(set(sentences))
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text.lower())


def test_a_study_of_hundreds_of_trainings_has_a_report_that_can_be_read(tmp_path):
    runs = {
        f"run-{n}": FakeRun(noise=n, settings={**SETTINGS, "learning_rate": 0.001 * n})
        for n in range(1, 11)
    }
    written = report(evidence(FakeStudy(tmp_path, runs, range(30), 50)))
    text = markdown(written)
    assert len(text) < 40_000 and all(len(line) < 2_000 for line in text.splitlines())


def test_numbers_have_the_digits_that_their_interval_supports():
    say = Language()
    assert say.estimate(0.70931, 0.70031, 0.71811) == "70.9 % (70.0 to 71.8)"
    assert say.estimate(0.7, 0.51234, 0.84321) == "70 % (51 to 84)"
    assert say.estimate(0.70931, 0.70921, 0.70944) == "70.93 % (70.92 to 70.94)"
    assert say.estimate(0.5, np.nan, np.nan) == "50.0 %"
