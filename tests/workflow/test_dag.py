"""What would run, by dry runs of the real workflow, and the faults that are told before any job."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT
from tiny import TINY
from twinbench.sources import imported_files

SCRIPTS = ROOT / "workflow" / "scripts"


def _jobs(output: str) -> dict[str, int]:
    """Rule names and numbers of jobs, from Snakemake's table."""
    table = output.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def test_the_default_study_is_four_trainings_on_cifar10(workplace):
    result = workplace.snakemake("--dry-run", "--quiet", "rules")
    assert result.returncode == 0, result.stderr
    jobs = _jobs(result.stderr + result.stdout)
    assert jobs["train_pytorch"] == jobs["train_tensorflow"] == 2
    assert jobs["download_archive"] == 1
    assert jobs["download_weights"] == 2
    assert "pretrain_proxy_pytorch" not in jobs


@pytest.mark.parametrize(
    ("overlay", "trainings"),
    [("native.yaml", 6), ("unconfounded.yaml", 3), ("precision.yaml", 2), ("demo.yaml", 2)],
)
def test_ready_overlays_are_valid_and_measure_parity(workplace, overlay, trainings):
    result = workplace.snakemake("--dry-run", "--configfile", f"config/{overlay}")
    assert result.returncode == 0, result.stderr
    jobs = _jobs(result.stderr + result.stdout)
    assert jobs["train_pytorch"] == jobs["train_tensorflow"] == trainings
    assert jobs["measure_pytorch"] == jobs["measure_tensorflow"] == jobs["check_parity"] == 1


@pytest.mark.parametrize(
    ("overlay", "trainings"), [("collapse.yaml", 2), ("search.yaml", 18), ("search-vgg16.yaml", 14)]
)
def test_overlays_of_one_framework_are_valid(workplace, overlay, trainings):
    result = workplace.snakemake("--dry-run", "--configfile", f"config/{overlay}")
    assert result.returncode == 0, result.stderr
    jobs = _jobs(result.stderr + result.stdout)
    assert jobs["train_pytorch"] == trainings and "train_tensorflow" not in jobs


def test_a_collapse_is_shown_on_the_demos_images_and_weights():
    demo, collapse = (
        yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
        for name in ("demo", "collapse")
    )
    for key in ("dataset", "weights", "training"):
        assert collapse[key] == demo[key], key


def test_with_one_framework_alone_there_is_no_parity_to_measure(workplace):
    overlay = {"runs": {"tensorflow-scratch": None, "tensorflow-pretrained": None}}
    result = workplace.snakemake("--dry-run", overlay=overlay)
    assert result.returncode == 0, result.stderr
    assert "check_parity" not in result.stderr + result.stdout


def test_each_seed_adds_one_job_a_run(workplace):
    result = workplace.snakemake(
        "--dry-run", "--quiet", "rules", overlay=TINY | {"seeds": [1, 2, 3]}
    )
    jobs = _jobs(result.stderr + result.stdout)
    assert jobs["train_pytorch"] == jobs["train_tensorflow"] == 6
    assert jobs["pretrain_proxy_pytorch"] == jobs["pretrain_proxy_tensorflow"] == 1


def test_a_local_archive_takes_the_place_of_the_download(workplace):
    (workplace.folder / "own.tar.gz").write_bytes(b"archive")
    result = workplace.snakemake("--dry-run", overlay={"dataset": {"archive": "own.tar.gz"}})
    jobs = _jobs(result.stderr + result.stdout)
    assert jobs["import_archive"] == 1
    assert "download_archive" not in jobs


def test_nested_keys_are_overridden_on_the_command_line(workplace):
    overrides = ("seeds=[1,2]", "dataset={limit: 2000}", "runs={pytorch-pretrained: null}")
    result = workplace.snakemake("--dry-run", "--config", *overrides)
    assert result.returncode == 0, result.stderr
    jobs = _jobs(result.stderr + result.stdout)
    assert (jobs["train_pytorch"], jobs["train_tensorflow"]) == (2, 4)


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"trainin": {}}, "config: unknown key 'trainin'; did you mean 'training'?"),
        (
            {"runs": {"pytorch-scratch": {"framework": "pytorhc"}}},
            "config: runs.pytorch-scratch.framework: 'pytorhc' is none of pytorch, tensorflow",
        ),
        ({"training": {"epochs": -1}}, "config: training.epochs: -1 is too small"),
        ({"training": {"learning_rate": "fast"}}, "config: training.learning_rate: 'fast' is not"),
        (
            {"runs": {"pytorch-pretrained": {"weights": "imagnet"}}},
            "config: runs.pytorch-pretrained.weights: 'imagnet' is none of",
        ),
        (
            {"dataset": {"archive": "no.tar.gz"}},
            "config: dataset.archive: there is no file no.tar.gz",
        ),
    ],
)
def test_a_fault_of_the_config_is_told_before_any_job(workplace, overlay, message):
    result = workplace.snakemake(overlay=overlay)
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if message in line]
    assert len(lines) == 1, result.stderr
    assert not (workplace.folder / "results").exists()


def test_a_number_in_quotes_is_refused_and_told_where(workplace):
    (workplace.folder / "own.yaml").write_text('training:\n  learning_rate: "1e-3"\n')
    result = workplace.snakemake("--configfile", "own.yaml")
    assert result.returncode != 0
    message = "own.yaml, line 2: training.learning_rate: '1e-3' stands in quotes"
    assert len([line for line in result.stderr.splitlines() if message in line]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("wrong checksum", "sha256 is "),
        ("truncated", "archive.tar.gz"),
        ("no network", "127.0.0.1"),
    ],
)
def test_a_fault_of_the_data_is_one_line_and_leaves_no_output(workplace, change, message):
    from twinbench import synthetic
    from twinbench.files import checksum

    archive = workplace.folder / "own.tar.gz"
    synthetic.write_archive(archive, 100, 100, 0)
    if change == "truncated":
        archive.write_bytes(archive.read_bytes()[:-1000])
    dataset = {"archive": str(archive), "sha256": checksum(archive)}
    if change == "wrong checksum":
        dataset["sha256"] = "0" * 64
    if change == "no network":
        dataset = {"url": "http://127.0.0.1:9/cifar-10-binary.tar.gz"}
    arguments = ("--retries", "0", "results/data/cifar10/train.parquet")
    result = workplace.snakemake(*arguments, overlay={"dataset": dataset})
    assert result.returncode != 0
    assert re.search(rf"error: .*{re.escape(message)}", result.stderr), result.stderr
    assert not list((workplace.folder / "results").rglob("*.parquet"))


def test_code_is_found_from_imports():
    training = {str(p.relative_to(SCRIPTS)) for p in imported_files(SCRIPTS / "train_pytorch.py")}
    assert {"train_pytorch.py", "twinbench/protocol.py", "twinbench/pytorch/arm.py"} <= training
    assert not any("tensorflow" in name or "analysis" in name for name in training)
    report = {str(p.relative_to(SCRIPTS)) for p in imported_files(SCRIPTS / "write_report.py")}
    assert "twinbench/analysis/report.py" in report
    assert not any("pytorch" in name or name.endswith("training.py") for name in report)


def _pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^[ -]*([a-z0-9-]+)==([\w.]+)", text, re.M))


LOCK = _pins((ROOT / "envs" / "requirements.lock").read_text())
# Import names that differ from their distributions' names.
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn"}
ENVIRONMENTS = {
    "pytorch": (
        *("train_pytorch", "measure_pytorch"),
        *("pretrain_proxy_pytorch", "import_alexnet_weights"),
    ),
    "tensorflow": (
        *("train_tensorflow", "measure_tensorflow"),
        *("pretrain_proxy_tensorflow", "import_vgg16_weights"),
    ),
    "analysis": (
        *("draw_archive", "download_archive", "import_archive", "build_parquet", "build_tensors"),
        *("download_weights", "evaluate_runs", "compare_runs", "plot_figures", "write_report"),
        "check_parity",
    ),
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_has_what_its_scripts_import_at_the_locks_versions(environment):
    pins = _pins((ROOT / "envs" / f"{environment}.yaml").read_text())
    # CUDA 12 is TensorFlow's alone, and in no lock with PyTorch's CUDA 13: see test_images.py.
    shared = {name: pin for name, pin in pins.items() if not name.endswith("-cu12")}
    assert shared.items() <= LOCK.items()
    imported = set()
    for script in ENVIRONMENTS[environment]:
        for path in imported_files(SCRIPTS / f"{script}.py"):
            modules = re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), re.M)
            imported |= set(modules) - set(sys.stdlib_module_names) - {"twinbench"}
    assert {DISTRIBUTIONS.get(name, name) for name in imported} <= set(pins)


def test_direct_dependencies_are_locked_at_their_versions():
    assert _pins((ROOT / "envs" / "requirements.in").read_text()).items() <= LOCK.items()


def test_every_rule_has_a_log_a_message_and_an_environment():
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(r"^ *rule ", path.read_text(), flags=re.M)[1:]:
            for directive in ("log:", "message:", "conda:", "output:"):
                assert directive in rule, f"{path.name}: {rule.split(':')[0]} has no {directive}"


def test_every_key_of_the_config_is_described():
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())

    def undescribed(part: dict, path: str):
        for name, key in part.get("properties", {}).items():
            if "description" not in key:
                yield f"{path}{name}"
            yield from undescribed(key, f"{path}{name}.")

    parts = [schema, *schema["$defs"].values()]
    assert not [key for part in parts for key in undescribed(part, "")]


def test_no_file_names_a_path_of_one_machine():
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "envs/requirements.lock"):
        assert not re.search(r"(^|\s)/(root|home|work)/", path.read_text()), path
    assert "index-url" not in Path(ROOT / "envs" / "requirements.lock").read_text()
