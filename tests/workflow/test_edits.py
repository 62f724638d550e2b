"""What an edit reruns: dry runs of real Snakemake on a finished study, each with its exact jobs."""

import copy
import functools
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TINY

pytestmark = pytest.mark.slow

RUNS = ("pytorch-scratch", "pytorch-pretrained", "tensorflow-scratch", "tensorflow-pretrained")
ANALYSIS = {"evaluate_runs", "compare_runs", "plot_figures", "write_report"}
JUDGING = {"evaluate_runs", "plot_figures", "write_report"}
DATA = {"draw_archive", "build_parquet", "build_tensors"}
PROXY = {
    "pytorch": {"pretrain_proxy_pytorch", "import_alexnet_weights"},
    "tensorflow": {"pretrain_proxy_tensorflow", "import_vgg16_weights"},
}
PROXIES = PROXY["pytorch"] | PROXY["tensorflow"]

# Each framework measures all nets, and TensorFlow evaluates what PyTorch has trained on the ladder.
PARITY = {"measure_pytorch", "measure_tensorflow", "check_parity"}

Edit = Callable[[Path, dict], None]  # changes the project in a folder, or the overlay


def training(*runs: str, seed: int = 1) -> set[str]:
    return {f"{run} {seed}" for run in runs}


def of(framework: str) -> set[str]:
    return training(*(run for run in RUNS if run.startswith(framework)))


ALL = training(*RUNS)


def nothing(folder: Path, overlay: dict) -> None:
    pass


def setting(path: str, value: object) -> Edit:
    """A key of the overlay, by its path, set to `value`."""

    def edit(folder: Path, overlay: dict) -> None:
        *parents, last = path.split(".")
        part = functools.reduce(lambda part, key: part.setdefault(key, {}), parents, overlay)
        part[last] = value

    return edit


def settings(**values: object) -> Edit:
    def edit(folder: Path, overlay: dict) -> None:
        for path, value in values.items():
            setting(path.replace("__", "."), value)(folder, overlay)

    return edit


def file(path: str, old: str = "", new: str = "\n# another line") -> Edit:
    """A file of the project with `old` replaced by `new`, or with another line at its end."""

    def edit(folder: Path, overlay: dict) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1) if old else text + new)

    return edit


def module(path: str) -> Edit:
    return file(f"workflow/scripts/twinbench/{path}")


def script(name: str) -> Edit:
    return file(f"workflow/scripts/{name}.py")


def touch_everything(folder: Path, overlay: dict) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not {"results", ".snakemake"} & set(path.parts):
            os.utime(path)


def check_out_anew(folder: Path, overlay: dict) -> None:
    """All files written anew by git, as after a change of branches and back."""
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    for command in (
        ("init", "--quiet"),
        ("add", "."),
        (*identity, "commit", "--quiet", "--message", "all"),
        ("rm", "--quiet", "-r", "."),
        ("checkout", "--quiet", "HEAD", "."),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


def reverse_the_keys(folder: Path, overlay: dict) -> None:
    def reversed_(value):
        if not isinstance(value, dict):
            return value
        return {key: reversed_(value[key]) for key in reversed(list(value))}

    changed = reversed_(overlay)
    overlay.clear()
    overlay.update(changed)


def rename_a_run(folder: Path, overlay: dict) -> None:
    overlay["runs"] |= {
        "pytorch-scratch": None,
        "renamed": {"framework": "pytorch", "model": "alexnet32", "weights": "none"},
    }


def use_own_weights(folder: Path, overlay: dict) -> None:
    own = next((folder / "results" / "weights" / "official").glob("alexnet-proxy-*.pth"))
    overlay["runs"]["pytorch-pretrained"]["weights"] = str(own)


def swap_the_betas(folder: Path, overlay: dict) -> None:
    optimiser = {"beta_1": 0.999, "beta_2": 0.9}  # 0.9 and 0.999 by default
    overlay["runs"]["tensorflow-scratch"] = {"optimiser": optimiser}


ADDED = {"framework": "tensorflow", "model": "alexnet32", "weights": "none", "dropout": 0.1}
KEYED = "training.augmentation.rotation_degrees"

# (what is edited, the edit, the jobs that may run: rules by their names, trainings by run and seed)
EDITS: list[tuple[str, Edit, set[str]]] = [
    ("nothing", nothing, set()),
    ("every file touched", touch_everything, set()),
    ("a fresh git checkout", check_out_anew, set()),
    # The science
    (
        "learning rate of one run",
        setting("runs.pytorch-scratch", {"learning_rate": 0.001}),
        training("pytorch-scratch") | ANALYSIS | PARITY,
    ),
    (
        "learning rate of those without their own",
        setting("training.learning_rate", 0.001),
        training("pytorch-scratch", "tensorflow-scratch") | ANALYSIS | PARITY,
    ),
    (
        "native protocol of one run",
        setting("runs.tensorflow-scratch", {"protocol": "native"}),
        training("tensorflow-scratch") | ANALYSIS,
    ),
    ("two values swapped", swap_the_betas, training("tensorflow-scratch") | ANALYSIS),
    ("keys in another order", reverse_the_keys, set()),
    ("a number as 7e-4", setting("training.learning_rate", "7e-4"), set()),
    ("a number as 15.0", setting(KEYED, 15.0), set()),
    ("a default spelt out", setting("training.cached_views", 3), set()),
    ("a run renamed", rename_a_run, training("renamed") | ANALYSIS),
    ("a run added", setting("runs.added", ADDED), training("added") | ANALYSIS),
    ("a run removed", setting("runs.tensorflow-scratch", None), ANALYSIS | PARITY),
    ("a second seed", setting("seeds", [1, 2]), training(*RUNS, seed=2) | ANALYSIS),
    ("batch size of all", setting("training.batch_size", 16), ALL | ANALYSIS),
    ("epochs of all", setting("training.epochs", 2), ALL | ANALYSIS),
    ("augmentation", setting("training.augmentation.shift_fraction", 0.2), ALL | ANALYSIS | PARITY),
    ("the study's name", setting("study", "other"), ALL | ANALYSIS | PARITY),
    # Data and weights
    (
        "validation split",
        setting("dataset.validation_fraction", 0.25),
        {"build_tensors"} | ALL | ANALYSIS | PARITY,
    ),
    ("seed of the split", setting("dataset.seed", 1), {"build_tensors"} | ALL | ANALYSIS | PARITY),
    (
        "images of the test split",
        setting("dataset.synthetic.test_images", 110),
        DATA | ALL | ANALYSIS | PARITY,
    ),
    ("other drawn images", setting("dataset.synthetic.seed", 1), DATA | ALL | ANALYSIS | PARITY),
    (
        "one run from scratch",
        setting("runs.pytorch-pretrained.weights", "none"),
        training("pytorch-pretrained") | ANALYSIS | PARITY,
    ),
    (
        "own weights of one run",
        use_own_weights,
        {"import_alexnet_weights"} | training("pytorch-pretrained") | ANALYSIS | PARITY,
    ),
    (
        "proxies trained longer",
        setting("weights.proxy.epochs", 2),
        PROXIES | training("pytorch-pretrained", "tensorflow-pretrained") | ANALYSIS | PARITY,
    ),
    (
        "one net's proxy",
        setting("weights.proxy.input_size", {"vgg16": 48}),
        PROXY["tensorflow"] | training("tensorflow-pretrained") | ANALYSIS | PARITY,
    ),
    (
        "address of weights that are not used",
        setting(
            "weights.imagenet.alexnet", {"url": "https://example.org/a.pth", "checksum": "0" * 8}
        ),
        set(),
    ),
    # The report
    ("figure style", setting("report.figures", {"dpi": 100}), {"plot_figures", "write_report"}),
    ("report title", setting("report.title", "Another title"), {"write_report"}),
    ("report introduction", setting("report.introduction", "To begin with"), {"write_report"}),
    (
        "equivalence margin",
        setting("report.equivalence_margin", 0.02),
        {"compare_runs", "write_report"},
    ),
    ("reference figures", file("config/reference.yaml", "0.7093", "0.7094"), {"write_report"}),
    ("no reference figures", setting("report.reference", None), {"write_report"}),
    ("report template", file("workflow/report/report.md.jinja"), {"write_report"}),
    ("caption of Snakemake's own report", file("workflow/report/metrics.rst"), set()),
    # What is no part of the experiment
    ("a test", file("tests/tiny.py"), set()),
    ("README", file("README.md"), set()),
    ("a comment in the config", file("config/config.yaml"), set()),
    ("a profile", file("profiles/default/config.yaml", new="\nretries: 1\n"), set()),
    ("a rule's message", file("workflow/rules/training.smk", "Training {w", "Now {w"), set()),
    ("a rule's memory", file("workflow/rules/training.smk", "mem_mb=6000", "mem_mb=9000"), set()),
    # Code, each module by its users
    ("architecture table", module("architecture.py"), PROXIES | ALL | ANALYSIS | PARITY),
    ("shared protocol", module("protocol.py"), PROXIES | ALL | ANALYSIS | PARITY),
    (
        "PyTorch's augmentation",
        module("pytorch/augment.py"),
        PROXY["pytorch"] | of("pytorch") | ANALYSIS | PARITY,
    ),
    (
        "TensorFlow's augmentation",
        module("tensorflow/augment.py"),
        PROXY["tensorflow"] | of("tensorflow") | ANALYSIS | PARITY,
    ),
    (
        "reading of AlexNet's file",
        module("pytorch/weights.py"),
        PROXY["pytorch"] | training("pytorch-pretrained") | ANALYSIS | PARITY,
    ),
    ("making of tensors", module("tensors.py"), {"build_tensors"} | ALL | ANALYSIS | PARITY),
    ("metrics", module("analysis/metrics.py"), JUDGING),
    ("statistics", module("analysis/statistics.py"), {"compare_runs", "write_report"}),
    ("drawing of figures", module("analysis/figures.py"), {"plot_figures", "write_report"}),
    ("wording of the report", module("analysis/report.py"), {"write_report"}),
    ("the ladder's tolerances", module("analysis/ladder.py"), {"check_parity", "write_report"}),
    ("what is measured", module("parity.py"), PARITY | {"write_report"}),
    (
        "TensorFlow's side of the audit",
        module("tensorflow/audit.py"),
        {"measure_tensorflow", "check_parity", "write_report"},
    ),
    ("reading of a study", module("analysis/study.py"), ANALYSIS),
    ("reading of the config", module("configuration.py"), set()),
    ("downloading", module("download.py"), set()),
    ("an entry script", script("train_tensorflow"), of("tensorflow") | ANALYSIS),
    ("another entry script", script("evaluate_runs"), JUDGING),
    (
        "a rule's command",
        file("workflow/rules/training.smk", "--threads {threads}", "--threads  {threads}"),
        ALL | ANALYSIS,
    ),
    # Software
    (
        "version of PyTorch",
        file("envs/pytorch.yaml", "torch==", "torch==1"),
        PROXY["pytorch"] | of("pytorch") | ANALYSIS | PARITY,
    ),
    (
        "version of TensorFlow",
        file("envs/tensorflow.yaml", "tensorflow==", "tensorflow==1"),
        PROXY["tensorflow"] | of("tensorflow") | ANALYSIS | PARITY,
    ),
    (
        "version of the analysis",
        file("envs/analysis.yaml", "scipy==", "scipy==1"),
        ANALYSIS | {"check_parity"},
    ),
]
BY_NAME = {name: (edit, jobs) for name, edit, jobs in EDITS}


def jobs_of(output: str) -> set[str]:
    """What a dry run says it would do: rules by name, trainings by run and seed."""
    if "Nothing to be done" in output:
        return set()
    table = output.split("Job stats:")[1].split("total")[0]
    rules = dict(re.findall(r"^(\w+) +(\d+)$", table, re.M))
    trainings = {
        f"{run} {seed}" for run, seed in re.findall(r"(?:Training|Now) (\S+), seed (\d+)", output)
    }
    counted = [int(n) for rule, n in rules.items() if rule in ("train_pytorch", "train_tensorflow")]
    assert sum(counted) == len(trainings), output
    assert all(n == "1" for rule, n in rules.items() if not rule.startswith("train_")), output
    return {rule for rule in rules if not rule.startswith("train_")} - {"all"} | trainings


@pytest.fixture
def project(finished):
    """The finished study; its files are put back after the test."""
    yield finished
    finished.renew()


def dry_run(place, edit: Edit, *arguments: str) -> set[str]:
    overlay = copy.deepcopy(TINY)
    edit(place.folder, overlay)
    result = place.snakemake("--dry-run", *arguments, overlay=overlay)
    assert result.returncode == 0, result.stderr
    return jobs_of(result.stdout + result.stderr)


@pytest.mark.parametrize("name", BY_NAME)
def test_an_edit_reruns_exactly_what_it_touches(project, name):
    edit, jobs = BY_NAME[name]
    assert dry_run(project, edit) == jobs


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cores", "1"),
        ("--set-threads", "train_pytorch=1"),
        ("--set-resources", "train_tensorflow:mem_mb=9000"),
        ("--resources", "gpu=1"),
        ("--keep-going", "--retries", "2"),
    ],
    ids=" ".join,
)
def test_how_a_study_is_run_reruns_nothing(project, arguments):
    assert dry_run(project, nothing, *arguments) == set()


def test_a_project_that_was_moved_with_its_results_reruns_nothing(project, tmp_path):
    moved = type(project)(tmp_path / "elsewhere")
    project.folder.rename(moved.folder)
    try:
        assert dry_run(moved, nothing) == set()
    finally:
        moved.folder.rename(project.folder)


def test_code_that_is_left_out_of_the_tracking_fails_its_row(project):
    """The table would notice: with one file missing among the recorded inputs, its row is wrong."""
    left_out = "workflow/scripts/twinbench/pytorch/augment.py"
    sources = project.folder / "workflow/scripts/twinbench/sources.py"
    records = project.folder / ".snakemake" / "metadata"
    originals = {path: path.read_text() for path in records.rglob("*") if path.is_file()}
    # Both the code that finds the files and the records of a study that was run with it.
    before = "if module.__file__}"
    assert before in sources.read_text()
    sources.write_text(
        sources.read_text().replace(
            before, "if module.__file__ and 'torch/augment' not in module.__file__}"
        )
    )
    try:
        for path, text in originals.items():
            record = json.loads(text)
            record["input"] = [name for name in record["input"] if name != left_out]
            path.write_text(json.dumps(record))
        edit, jobs = BY_NAME["PyTorch's augmentation"]
        assert dry_run(project, edit) != jobs
    finally:
        for path, text in originals.items():
            path.write_text(text)


# The checksum decides what an archive is, not where it comes from, nor the code that fetches it.
ARCHIVE = "results/data/cifar10/archive.tar.gz"


@pytest.fixture(scope="module")
def fetched(tmp_path_factory, project_in):
    from twinbench import synthetic
    from twinbench.files import checksum

    place = project_in(tmp_path_factory.mktemp("fetched"))
    for seed, name in enumerate(("own.tar.gz", "other.tar.gz")):
        synthetic.write_archive(place.folder / name, 100, 100, seed)
    (place.folder / "same.tar.gz").write_bytes((place.folder / "own.tar.gz").read_bytes())
    dataset = {
        name: {"archive": name, "sha256": checksum(place.folder / name)}
        for name in ("own.tar.gz", "same.tar.gz", "other.tar.gz")
    }
    result = place.snakemake(ARCHIVE, overlay={"dataset": dataset["own.tar.gz"]})
    assert result.returncode == 0, result.stderr
    return place, dataset


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        ({}, set()),
        ({"archive": "same.tar.gz"}, set()),
        ({"archive": None}, set()),
        ({"archive": None, "url": "https://example.org/cifar-10-binary.tar.gz"}, set()),
        ("other.tar.gz", {"import_archive"}),
    ],
    ids=["nothing", "another path", "downloaded instead", "another address", "another archive"],
)
def test_an_archive_is_fetched_again_only_if_it_is_another(fetched, change, jobs):
    place, dataset = fetched
    changed = dataset[change] if isinstance(change, str) else dataset["own.tar.gz"] | change
    result = place.snakemake("--dry-run", ARCHIVE, overlay={"dataset": changed})
    assert result.returncode == 0, result.stderr
    assert jobs_of(result.stdout + result.stderr) == jobs


def test_code_that_fetches_is_not_tracked(fetched):
    place, dataset = fetched
    script("import_archive")(place.folder, {})
    result = place.snakemake("--dry-run", ARCHIVE, overlay={"dataset": dataset["own.tar.gz"]})
    place.renew()
    assert jobs_of(result.stdout + result.stderr) == set()
