"""What would run, by dry runs of the real workflow, and errors that are reported before any job."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support import ROOT
from tiny import TINY, copy_narrow_project
from twinbench.config.study import digest

OVERLAYS = {path.name for path in (ROOT / "config").glob("*.yaml")} - {
    "config.yaml",
    "reference.yaml",
}
# Trainings in PyTorch and in TensorFlow.
TRAININGS = {
    "collapse.yaml": (2, 0),
    "demo.yaml": (2, 2),
    "gpu.yaml": (2, 2),
    "native.yaml": (6, 6),
    "precision.yaml": (2, 2),
    "search.yaml": (18, 0),
    "search-vgg16.yaml": (14, 0),
    "unconfounded.yaml": (4, 4),
}


@pytest.fixture
def jobs(workplace, plan):
    """How many jobs of each rule a dry run lists."""

    def count(*arguments: str, overlay: dict | None = None) -> Counter[str]:
        status, output = plan(workplace, "--dry-run", *arguments, overlay=overlay)
        assert status == 0, output
        table = output.split("Job stats:")[-1].split("total")[0]
        return Counter({name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)})

    return count


def test_the_default_study_is_four_trainings_on_cifar10(jobs):
    found = jobs()
    assert found["train_pytorch"] == found["train_tensorflow"] == 2
    assert found["download_archive"] == 1 and found["download_weights"] == 2
    assert found["build_tensors"] == found["build_parquet"] == 1
    assert not [rule for rule in found if rule.startswith("pretrain")]


def test_the_workflows_own_file_plans_the_same_study(jobs):
    own = jobs("--snakefile", "workflow/Snakefile")
    assert own - Counter(all=1) == jobs() - Counter(default=1)


@pytest.mark.parametrize("name", sorted(OVERLAYS))
def test_a_ready_overlay_is_valid_and_measures_parity_if_it_can(jobs, name):
    found = jobs("--configfile", f"config/{name}")
    pytorch, tensorflow = TRAININGS[name]
    assert (found["train_pytorch"], found["train_tensorflow"]) == (pytorch, tensorflow)
    both = int(pytorch > 0 and tensorflow > 0)
    for rule in ("measure_pytorch", "measure_tensorflow", "check_parity"):
        assert found[rule] == both, rule


def test_each_seed_adds_one_training_per_run_and_no_pretraining(jobs):
    found = jobs(overlay=TINY | {"seeds": [1, 2, 3]})
    assert found["train_pytorch"] == found["train_tensorflow"] == 6
    assert found["pretrain_weights_pytorch"] == found["pretrain_weights_tensorflow"] == 1


def test_nested_keys_are_overridden_on_the_command_line(jobs):
    overrides = ("seeds=[1,2]", "dataset={limit: 2000}", "runs={pytorch-pretrained: null}")
    found = jobs("--config", *overrides)
    assert (found["train_pytorch"], found["train_tensorflow"]) == (2, 4)


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


@pytest.mark.parametrize(
    ("fault", "named"),
    [("checksum", "own.tar.gz"), ("truncated", "archives"), ("network", "127.0.0.1")],
)
def test_invalid_data_is_one_line_and_leaves_no_output(workplace, fault, named):
    from twinbench.data import synthetic
    from twinbench.files import checksum

    archive = workplace.folder / "own.tar.gz"
    synthetic.write_archive(archive, 100, 100, 0)
    if fault == "truncated":
        archive.write_bytes(archive.read_bytes()[:-1000])
    dataset = {"archive": str(archive), "sha256": checksum(archive)}
    if fault == "checksum":
        dataset["sha256"] = "0" * 64
    if fault == "network":
        dataset = {"url": "http://127.0.0.1:9/cifar-10-binary.tar.gz"}
        module = workplace.folder / "workflow/scripts/twinbench/data/download.py"
        text = module.read_text(encoding="utf-8")
        assert "(1, 4, 15, 60)" in text
        module.write_text(text.replace("(1, 4, 15, 60)", "(0.1,)"), encoding="utf-8")
    result = workplace.snakemake("--until", "build_tensors", overlay={"dataset": dataset})
    assert result.returncode == 1
    # The line stands in the log as well, which Snakemake shows, and once for each attempt.
    lines = {line.partition(" error: ")[2] for line in result.stdout.splitlines()} - {""}
    assert len(lines) == 1 and named in lines.pop(), result.stdout
    assert "Traceback" not in result.stdout
    assert not list(workplace.results.rglob("*.safetensors"))


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


def test_a_job_takes_no_other_settings_than_those_of_its_submission(tmp_path):
    """A job on a cluster reads the config again, in the environment of its submission."""
    place = copy_narrow_project(tmp_path)
    target = "results/tiny/runs/pytorch-scratch/seed-1/history.csv"
    name = f"TWINBENCH_{digest([str(place.folder.resolve()), 'tiny', 'run'])}"
    submitted = replace(place, variables={name: "00000000 11111111"})
    done = submitted.snakemake("-n", target, overlay=TINY)
    assert done.returncode == 1
    assert "the settings of run pytorch-scratch were edited after this job" in done.stdout
    assert place.snakemake("-n", target, overlay=TINY).returncode == 0


def test_the_report_gets_what_the_command_line_adds_to_the_config(tmp_path):
    place = copy_narrow_project(tmp_path)
    values = "{limit: 50}"
    done = place.snakemake("-n", "-p", "--config", f"dataset={values}", overlay=TINY)
    (given,) = re.findall(r"write_report.py '--given=(.*?)' ", done.stdout)
    assert json.loads(given) == {"files": ["overlay.yaml"], "values": {"dataset": {"limit": "50"}}}
