"""What would run, by dry runs of the real workflow, and errors that are reported before any job."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support import ROOT
from tiny import TINY
from twinbench.config.study import digest


@pytest.fixture
def jobs(workplace, plan):
    """How many jobs of each rule a dry run lists."""

    def count(*arguments: str, overlay: dict | None = None) -> Counter[str]:
        status, output = plan(workplace, "--dry-run", *arguments, overlay=overlay)
        assert status == 0, output
        table = output.split("Job stats:")[-1].split("total")[0]
        return Counter({name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)})

    return count


def test_the_default_study_is_four_trainings_on_cifar10_by_either_snakefile(jobs):
    found = jobs()
    assert found["train_pytorch"] == found["train_tensorflow"] == 2
    assert found["download_archive"] == 1 and found["download_weights"] == 2
    assert found["build_tensors"] == found["build_parquet"] == 1
    assert not [rule for rule in found if rule.startswith("pretrain")]
    own = jobs("--snakefile", "workflow/Snakefile")
    assert own - Counter(all=1) == found - Counter(default=1)


@pytest.mark.parametrize(("name", "trainings"), [("collapse", (2, 0)), ("unconfounded", (4, 4))])
def test_parity_is_measured_where_a_study_trains_in_both_frameworks(jobs, name, trainings):
    found = jobs("--configfile", f"config/{name}.yaml")
    assert (found["train_pytorch"], found["train_tensorflow"]) == trainings
    for rule in ("measure_pytorch", "measure_tensorflow", "check_parity"):
        assert found[rule] == all(trainings), rule


def test_each_seed_adds_one_training_per_run_and_no_pretraining(jobs):
    found = jobs(overlay=TINY | {"seeds": [1, 2, 3]})
    assert found["train_pytorch"] == found["train_tensorflow"] == 6
    assert found["pretrain_weights_pytorch"] == found["pretrain_weights_tensorflow"] == 1


def test_nested_keys_are_overridden_on_the_command_line(jobs):
    overrides = ("seeds=[1,2]", "dataset={limit: 2000}", "runs={pytorch-pretrained: null}")
    found = jobs("--config", *overrides)
    assert (found["train_pytorch"], found["train_tensorflow"]) == (2, 4)


def test_every_job_gets_the_device_that_was_asked_for(workplace, plan):
    overlay = {**TINY, "training": {**TINY["training"], "device": "cpu"}}
    _, output = plan(workplace, "--dry-run", "--printshellcmds", overlay=overlay)
    trainings = re.findall(r"python \S*train\.py .*", output)
    assert len(trainings) == 4 and all(" training.device=cpu " in each for each in trainings)
    pretrainings = re.findall(r"python \S*pretrain_weights\.py .*", output)
    assert len(pretrainings) == 2 and all(" --device cpu " in each for each in pretrainings)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("trainin: {}", "trainin"),
        ("runs: {pytorch-scratch: {framework: pytorhc}}", "runs.pytorch-scratch.framework"),
        ("dataset: {archive: no.tar.gz}", "dataset.archive"),
        ('training:\n  learning_rate: "1e-3"', "own.yaml, line 2: training.learning_rate"),
    ],
)
def test_an_invalid_config_is_one_line_before_any_job(workplace, plan, text, key):
    (workplace.folder / "own.yaml").write_text(text)
    status, output = plan(workplace, "--configfile", "own.yaml")
    assert status == 1
    assert len([line for line in output.splitlines() if key in line]) == 1, output
    assert "Traceback" not in output
    assert not workplace.results.exists()


def test_files_txt_lists_what_a_hosted_module_fetches():
    folders = {"workflow/scripts": "*.py", "workflow/report": "*", "envs": "*.yaml"}
    wanted = {
        str(path.relative_to(ROOT))
        for folder, pattern in folders.items()
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file()
    }
    assert (ROOT / "workflow/files.txt").read_text().splitlines() == sorted(wanted)


def test_no_page_names_a_path_of_one_machine():
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "envs/requirements.lock"):
        assert not re.search(r"(^|\s)/(root|home|work)/|index-url", Path(path).read_text()), path


def test_a_job_takes_no_other_settings_than_those_of_its_submission(workplace, plan):
    """A job on a cluster reads the config again, in the environment of its submission."""
    target = "results/tiny/runs/pytorch-scratch/seed-1/history.csv"
    name = f"TWINBENCH_{digest([str(workplace.folder.resolve()), 'tiny', 'run'])}"
    submitted = replace(workplace, variables={name: "00000000 11111111"})
    status, output = plan(submitted, "-n", target, overlay=TINY)
    assert status == 1
    assert "the settings of run pytorch-scratch were edited after this job" in output
    status, output = plan(workplace, "-n", target, overlay=TINY)
    assert status == 0, output


def test_the_report_gets_what_the_command_line_adds_to_the_config(workplace, plan):
    values = "{limit: 50}"
    _, output = plan(workplace, "-n", "-p", "--config", f"dataset={values}", overlay=TINY)
    assert given(output) == {
        "files": ["overlay.yaml"],
        "values": {"dataset": {"limit": "50"}},
        "elsewhere": False,
    }


def given(output: str) -> dict:
    """What the report gets of the command, by what a dry run prints."""
    (found,) = re.findall(r"write_report.py '--given=(.*?)' ", output)
    return json.loads(found)


def test_a_linked_config_is_the_studys_own_and_no_overlay(workplace, plan):
    config = workplace.folder / "config" / "config.yaml"
    config.rename(workplace.folder / "shared.yaml")
    config.symlink_to("../shared.yaml")
    _, output = plan(workplace, "-n", "-p", overlay=TINY)
    assert given(output)["files"] == ["overlay.yaml"]


def test_a_study_in_another_folder_than_the_clone_has_a_config_of_its_own(
    workplace, plan, tmp_path
):
    other = tmp_path / "other"
    shutil.copytree(workplace.folder / "config", other / "config")
    options = ("-n", "-p", "--snakefile", str(workplace.folder / "Snakefile"))
    status, output = plan(replace(workplace, folder=other), *options, overlay=TINY)
    assert status == 0, output
    assert given(output) == {"files": ["overlay.yaml"], "values": {}, "elsewhere": True}
