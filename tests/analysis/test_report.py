"""The report: what it must say, what it must not say, and that its links resolve."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from fake_study import CLASS_NAMES, FOUR, FakeRun, FakeStudy
from twinbench.analysis import metrics, report, statistics, study
from twinbench.errors import InputError

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
TEMPLATE = ROOT / "workflow" / "report" / "report.md.jinja"
REFERENCE = ROOT / "config" / "reference.yaml"


def data_statistics(limit=None) -> dict:
    return {
        "class_names": CLASS_NAMES,
        "counts": {
            split: dict.fromkeys(CLASS_NAMES, count)
            for split, count in (("train", 4500), ("validation", 500), ("test", 100))
        },
        "mean": [0.49, 0.48, 0.45],
        "std": [0.247, 0.243, 0.262],
        "validation_fraction": 0.1,
        "seed": 0,
        "limit": limit,
    }


def run_entry(name: str, **options) -> None:
    """Run an entry file as the workflow does."""
    words = [
        word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)
    ]
    done = subprocess.run(
        [sys.executable, SCRIPTS / name, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def flawed(tmp_path_factory) -> Path:
    """The report that the four entry files write: one seed, proxy weights, a collapsed run."""
    runs = {**FOUR, "pytorch-pretrained": replace(FOUR["pytorch-pretrained"], collapsed=True)}
    fake = FakeStudy(tmp_path_factory.mktemp("flawed"), runs, [0], images=400)
    folder = fake.directory.parent
    metrics_file, comparisons_file = folder / "metrics.csv", folder / "comparisons.csv"
    ladder = folder / "parity.csv"
    ladder.write_text(
        "rung,max_error,tolerance,passed,twin,frameworks,unit,reason\n"
        'forward,1e-7,1e-5,True,net,"pytorch, tensorflow",share,sums\n'
        'adam,1,1e-5,False,net,"pytorch, tensorflow",share,rounding\n'
    )
    (folder / "parity-audit.csv").write_text(
        "setting,twin,pytorch,tensorflow,pytorch_own,tensorflow_own,status,reason\n"
        "padding,net,1,2,Conv2d,Conv2D,NOT ACCOUNTED FOR,\n"
        "loss,net,mean,mean,mean,sum_over_batch_size,same,\n"
    )
    (folder / "statistics.json").write_text(json.dumps(data_statistics()))
    settings = {
        **fake.settings,
        "style": {"format": ["png"], "dpi": 30},
        "study": "fake",
        "title": "A fake study",
        "introduction": "An introduction.",
    }
    common = {"directory": fake.directory, "settings": json.dumps(settings)}
    run_entry("evaluate_runs.py", **common, output=metrics_file, log=folder / "evaluate.log")
    run_entry("compare_runs.py", **common, output=comparisons_file)
    run_entry("plot_figures.py", **common, metrics=metrics_file, figures=folder / "figures")
    run_entry(
        "write_report.py",
        **common,
        metrics=metrics_file,
        comparisons=comparisons_file,
        statistics=folder / "statistics.json",
        reference=REFERENCE,
        template=TEMPLATE,
        figures=folder / "figures",
        output=folder / "report.md",
        parity=ladder,
        audit=folder / "parity-audit.csv",
    )
    return folder / "report.md"


def section(text: str, title: str) -> str:
    """The part of the report under a heading."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def edit_provenance(path: Path, **changes) -> None:
    noted = json.loads(path.read_text())
    path.write_text(json.dumps({**noted, **changes}))


def evidence(fake, tmp_path, **changes) -> report.Evidence:
    """The evidence of a fake study without going through files."""
    jobs = study.jobs(fake.directory, fake.settings)
    class_names, confusions = metrics.confusions(jobs)
    table = statistics.compare(fake.directory, fake.settings, 0.01)
    table.to_csv(tmp_path / "comparisons.csv", index=False)
    return report.Evidence(
        **{
            "settings": {**fake.settings, "title": "t", "study": "s", "introduction": ""},
            "metrics": metrics.evaluate(fake.directory, fake.settings),
            "comparisons": pd.read_csv(tmp_path / "comparisons.csv"),
            "jobs": jobs,
            "confusions": confusions,
            "class_names": class_names,
            "statistics": data_statistics(),
            "reference": report.read_reference(REFERENCE),
            "figures": {name: f"{name}.png" for name in report.FIGURES},
            "parity": None,
            "audit": None,
            **changes,
        }
    )


def rendered(fake, tmp_path, **changes) -> str:
    return report.render(TEMPLATE, evidence(fake, tmp_path, **changes))


def test_a_collapse_is_explained_in_a_section_of_its_own(flawed, make_study, tmp_path):
    told = section(flawed.read_text(), "Why it collapsed")
    assert "**pytorch-pretrained**: one class for all images; loss at ln 10" in told
    assert "ln 10 = 2.303" in told
    assert "Why it collapsed" not in rendered(make_study(FOUR), tmp_path)


def test_a_run_beside_collapsed_ones_alone_is_no_winner_over_them(make_study, tmp_path):
    name = "tensorflow-scratch"
    runs = {run: replace(each, collapsed=run != name) for run, each in FOUR.items()}
    answer = section(rendered(make_study(runs), tmp_path), "The answer")
    assert "the only run that did not collapse" in answer
    assert "before" not in answer.split("Take care")[0]


@pytest.mark.parametrize("asked", ["auto", "float32"])
def test_trainings_for_which_auto_chose_different_precisions_are_named(make_study, tmp_path, asked):
    """And no others: where a precision was asked for, the table of settings tells it."""
    fake = make_study(FOUR)
    for job in study.jobs(fake.directory, fake.settings):
        chosen = "bfloat16" if job.run == "pytorch-scratch" else "float32"
        path = fake.folder(job.run, job.seed) / "provenance.json"
        settings = job.provenance["settings"] | {"precision": asked}
        edit_provenance(path, settings=settings, precision=chosen)
    answer = section(rendered(fake, tmp_path), "The answer")
    told = "Left to choose their precision, pytorch-scratch (seed 0)"
    assert (told in answer) == (asked == "auto")


def test_flaws_are_named_where_the_number_stands(flawed):
    text = flawed.read_text()
    rows = [line for line in section(text, "Results").splitlines() if "10.00 %" in line]
    assert rows and all("(proxy weights, collapsed)" in row for row in rows)
    assert "tensorflow-pretrained (proxy weights) |" in text
    answer = section(text, "The answer")
    assert "With one seed a run, this compares these trained models, not the methods" in answer
    assert "pytorch-pretrained collapsed to chance" in answer
    assert "says nothing about ImageNet weights" in answer
    limits = section(text, "Limits")
    for words in ("One seed a run", "Proxy weights", "Collapsed: pytorch-pretrained", "(cpu)"):
        assert words in limits


def test_each_figure_link_resolves_and_each_table_is_whole(flawed):
    text = flawed.read_text()
    links = re.findall(r"!\[[^]]+]\(([^)]+)\)", text)
    assert len(links) == len(report.FIGURES)
    assert all(not Path(link).is_absolute() and (flawed.parent / link).is_file() for link in links)

    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_sound_runs_get_no_warnings(make_study, tmp_path):
    sound = {
        "pytorch-scratch": FakeRun(predictions_seed=1),
        "tensorflow-scratch": FakeRun(framework="tensorflow", predictions_seed=2),
    }
    text = rendered(make_study(sound, seeds=(0, 1, 2)), tmp_path)
    assert "Take care" not in text
    for words in ("roxy", "ollapsed", "One seed", "Synthetic", "differ in more than one factor"):
        assert words not in section(text, "Limits"), words
    assert "With 3 seeds a run, this compares the methods." in text


def test_a_limit_of_images_is_named(make_study, tmp_path):
    text = rendered(make_study(), tmp_path, statistics=data_statistics(limit=500))
    assert "Limited to 500 images a split" in section(text, "Data")
    assert "Only 500 images a split" in section(text, "Limits")
    assert "Fewer images were used here" in section(text, "Reported against measured")


def test_a_single_run_is_reported_without_comparisons(make_study, tmp_path):
    text = rendered(make_study({"alone": FakeRun(predictions_seed=4)}), tmp_path)
    assert "There is one run only" in text
    answer = section(text, "The answer")
    assert "**Test accuracy:** alone with" in answer
    assert "Is the difference real?" not in answer and "ighest" not in answer
    assert re.search(
        r"exceeds test accuracy by [\d.]+ points for alone\.", section(text, "Discussion")
    )
    assert "add a run to compare it with" in section(text, "Conclusions")
    assert "order of the runs" not in section(text, "Limits")
    assert "Reported against measured" not in text


def test_a_single_run_that_collapsed_is_marked_where_its_accuracy_is_told(make_study, tmp_path):
    text = rendered(make_study({"alone": FakeRun(collapsed=True)}), tmp_path)
    assert "**Test accuracy:** alone (collapsed) with" in section(text, "The answer")


def test_other_epochs_than_the_reports_are_named(flawed):
    text = section(flawed.read_text(), "Reported against measured")
    assert "| pytorch-scratch | 70.93 % |" in text
    assert "The epochs differ (10 there; 8 here for" in text


def test_without_a_reference_nothing_is_set_beside_the_measured(make_study, tmp_path):
    text = rendered(make_study(), tmp_path, reference=report.read_reference(None))
    assert "Reported against measured" not in text


def test_the_parity_ladder_is_shown_only_when_it_was_run(flawed, make_study, tmp_path):
    text = section(flawed.read_text(), "Are the twins the same experiment?")
    assert "| forward | 1e-07 | 1e-05 | share | sums |" in text
    assert "| adam | **1 FAILS** | 1e-05 |" in text
    assert "Are the twins" not in rendered(make_study(), tmp_path)


def test_a_failed_rung_and_a_failed_audit_are_loud(flawed):
    text = flawed.read_text()
    parity = section(text, "Are the twins the same experiment?")
    assert '**net: pytorch and tensorflow do NOT do the same. The rung "adam" fails**' in parity
    assert 'the last that holds before it is "forward"' in parity
    assert "**The audit FAILS: padding differ" in parity
    assert "| padding | 1 (Conv2d) | 2 (Conv2D) | **NOT ACCOUNTED FOR** |" in parity
    assert "The twins are not the same experiment" in section(text, "The answer")


def test_synthetic_images_are_never_called_cifar10(make_study, tmp_path):
    fake = make_study(images=100)
    for run in fake.runs:
        path = fake.folder(run) / "provenance.json"
        dataset = json.loads(path.read_text())["dataset"]
        edit_provenance(path, dataset={**dataset, "name": "demo", "source": "synthetic"})
    text = rendered(fake, tmp_path)
    assert "The images are synthetic" in section(text, "The answer")
    assert "Synthetic images" in section(text, "Limits")
    assert "the real images" not in section(text, "Data")
    assert "cannot be compared at all" in section(text, "Reported against measured")


def test_code_with_changes_or_without_a_commit_is_named(make_study, tmp_path):
    fake = make_study(images=100)
    edit_provenance(
        fake.folder("pytorch-scratch") / "provenance.json", git={"commit": "abc", "dirty": True}
    )
    edit_provenance(fake.folder("tensorflow-scratch") / "provenance.json", git=None)
    found = " ".join(report.limits(evidence(fake, tmp_path)))
    assert "changes that are not in the named commit" in found
    assert "version of the code is not known" in found
    assert "trained at different commits" in found


def test_the_first_place_inside_the_noise_is_called_no_winner(make_study, tmp_path):
    runs = {"a": FakeRun(predictions_seed=1), "b": FakeRun(predictions_seed=2)}
    found = " ".join(report.answer(evidence(make_study(runs, images=200), tmp_path)))
    assert "so it is no winner" in found


def test_several_pairs_are_summarised_by_their_number(make_study, tmp_path):
    runs = {
        "small": FakeRun(accuracy=0.3, predictions_seed=1),
        "large": FakeRun(accuracy=0.35, predictions_seed=2),
        "tuned": FakeRun(accuracy=0.9, predictions_seed=3, weights="imagenet"),
    }
    found = report.answer(evidence(make_study(runs), tmp_path))[0]
    assert "of 2 pairs, 2 favour the pretrained run, 0 the other one" in found


def test_settings_that_differ_stand_apart_from_the_shared_ones(make_study, tmp_path):
    found = evidence(make_study(images=100), tmp_path)
    assert ["`epochs`", "8"] in report.common_settings(found)["rows"]
    assert report.own_settings(found)["rows"] == [
        ["`optimiser.rate`", "0.001", "0.0001", "0.001", "0.0001"]
    ]


def test_a_pipe_in_a_text_does_not_break_a_table(make_study, tmp_path):
    fake = make_study(images=100)
    edit_provenance(
        fake.folder("pytorch-scratch") / "provenance.json", layers=["a | b", "two\nlines"]
    )
    text = rendered(fake, tmp_path)
    assert "| 1 | a \\| b |\n| 2 | two lines |" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title: [", "not readable YAML"),
        ("title: x", "key note is missing"),
        (
            {"title": "", "note": "", "dataset": "", "epochs": 1, "runs": {"a": {}}},
            "runs.a.seconds_per_epoch is no number",
        ),
    ],
)
def test_a_faulty_reference_is_named_in_one_line(tmp_path, content, message):
    path = tmp_path / "reference.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(InputError, match=message) as error:
        report.read_reference(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_figure_is_named(tmp_path):
    with pytest.raises(InputError, match=r"accuracy\.png: no such figure"):
        report.figure_links(tmp_path, tmp_path)


def test_an_entry_tells_a_missing_run_in_one_line(tmp_path):
    settings = {"runs": {"a": {}}, "seeds": [0], "equivalence_margin": 0.01}
    done = subprocess.run(
        [
            *(sys.executable, SCRIPTS / "compare_runs.py", "--directory", tmp_path),
            *("--settings", json.dumps(settings), "--output", tmp_path / "x.csv"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "provenance.json: no such file; train this run first" in done.stderr
    assert not (tmp_path / "x.csv").exists()
