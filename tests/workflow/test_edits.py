"""What an edit reruns, by Snakemake's own summary of a recorded study: exactly these jobs."""

import copy
import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import FETCHED, RUNS, TINY, Workplace

ANALYSIS = {"evaluate_runs", "compare_runs", "plot_figures", "write_report"}
FIGURES = {"plot_figures", "write_report"}
EVALUATION, COMPARISON = {"evaluate_runs"} | FIGURES, {"compare_runs"} | FIGURES
SPLITS = {"build_tensors", "describe_tensors", "build_parquet"}
DATA = {"generate_archive"} | SPLITS
WEIGHTS = {
    backend: {f"pretrain_weights_{backend}", f"import_weights_{backend}"}
    for backend in ("pytorch", "tensorflow")
}
ALL_WEIGHTS = WEIGHTS["pytorch"] | WEIGHTS["tensorflow"]
# Each framework measures every network.
PARITY = {"measure_pytorch", "measure_tensorflow", "check_parity"}

Edit = Callable[[Path, dict], None]  # changes the project in a folder, or the overlay


def training(*runs: str, seed: int = 1) -> set[str]:
    return {f"{run} {seed}" for run in runs}


SCRATCH, SCRATCH_TENSORFLOW = training("pytorch-scratch"), training("tensorflow-scratch")
ALL = training(*RUNS)
PYTORCH, TENSORFLOW = training(*RUNS[:2]), training(*RUNS[2:])
PRETRAINED = training("pytorch-pretrained", "tensorflow-pretrained")
EVERYTHING_TRAINED = ALL_WEIGHTS | ALL | PARITY | ANALYSIS
AFTER_SPLITS = ALL | PARITY | ANALYSIS


def nothing(folder: Path, overlay: dict) -> None:
    pass


def setting(path: str, value: object) -> Edit:
    """A key of the overlay, by its path, set to `value`."""

    def edit(folder: Path, overlay: dict) -> None:
        *parents, last = path.split(".")
        part = functools.reduce(lambda part, key: part.setdefault(key, {}), parents, overlay)
        part[last] = value

    return edit


def file(path: str, old: str = "", new: str = "\n# another line") -> Edit:
    """A file of the project with `old` replaced by `new`, or with another line at its end."""

    def edit(folder: Path, overlay: dict) -> None:
        text = (folder / path).read_text()
        assert old in text, f"{path} has no {old!r} to replace"
        (folder / path).write_text(text.replace(old, new, 1) if old else text + new)

    return edit


def module(path: str) -> Edit:
    return file(f"workflow/scripts/twinbench/{path}.py")


def script(name: str) -> Edit:
    return file(f"workflow/scripts/{name}.py")


def touch_everything(folder: Path, overlay: dict) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not {"results", ".snakemake"} & set(path.parts):
            os.utime(path)


def check_out_anew(folder: Path, overlay: dict) -> None:
    """All files written anew by git, as after a change of branches and back."""
    author = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    for command in (
        ("init", "--quiet"),
        ("add", "."),
        (*author, "commit", "--quiet", "--message", "all"),
        ("rm", "--quiet", "-r", "."),
        ("checkout", "--quiet", "HEAD", "."),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


def reverse_the_keys(folder: Path, overlay: dict) -> None:
    def reverse(value):
        if not isinstance(value, dict):
            return value
        return {key: reverse(value[key]) for key in reversed(value)}

    changed = reverse(overlay)
    overlay.clear()
    overlay.update(changed)


def rename_a_run(folder: Path, overlay: dict) -> None:
    run = {"framework": "pytorch", "model": "alexnet32", "weights": "none"}
    overlay["runs"] |= {"pytorch-scratch": None, "renamed": run}


def use_own_weights(folder: Path, overlay: dict) -> None:
    (path,) = folder.glob("results/weights/library/alexnet-synthetic-*.pth")
    overlay["runs"]["pytorch-pretrained"]["weights"] = str(path)


def use_another_archive(folder: Path, overlay: dict) -> None:
    (folder / "own.tar.gz").write_bytes(b"other images")
    overlay["dataset"]["sha256"] = hashlib.sha256(b"other images").hexdigest()


def move_the_archive(folder: Path, overlay: dict) -> None:
    (folder / "own.tar.gz").rename(folder / "moved.tar.gz")
    overlay["dataset"]["archive"] = "moved.tar.gz"


SWAPPED = {"beta_1": 0.99, "beta_2": 0.9}  # 0.9 and 0.99 in the default study
ADDED = {"framework": "tensorflow", "model": "alexnet32", "weights": "none", "dropout": 0.1}
MIRROR = {"url": "https://example.org/alexnet.pth", "checksum": "7be5be79"}
TRAINING_RULES, ANGLE = "workflow/rules/training.smk", "training.augmentation.rotation_degrees"

# The edit, and the jobs that it reruns: rules by their names, trainings by run and seed.
EDITS: dict[str, tuple[Edit, set[str]]] = {
    "the project moved with its results": (nothing, set()),
    "every file touched": (touch_everything, set()),
    "a fresh git checkout": (check_out_anew, set()),
    # The experiment
    "learning rate of one run": (
        setting("runs.pytorch-scratch", {"learning_rate": 0.001}),
        SCRATCH | ANALYSIS | PARITY,
    ),
    "learning rate of those without their own": (
        setting("training.learning_rate", 0.001),
        SCRATCH | SCRATCH_TENSORFLOW | ANALYSIS | PARITY,
    ),
    "native protocol": (
        setting("runs.tensorflow-scratch.protocol", "native"),
        SCRATCH_TENSORFLOW | ANALYSIS,
    ),
    "two values swapped": (
        setting("runs.tensorflow-scratch.optimiser", SWAPPED),
        SCRATCH_TENSORFLOW | ANALYSIS,
    ),
    "keys in another order": (reverse_the_keys, set()),
    "a number as 7e-4": (setting("training.learning_rate", "7e-4"), set()),
    "a number as 15.0": (setting(ANGLE, 15.0), set()),
    "a default spelt out": (setting("training.optimiser", {"beta_1": 0.9}), set()),
    "a run renamed": (rename_a_run, training("renamed") | ANALYSIS),
    "a run added": (setting("runs.added", ADDED), training("added") | ANALYSIS),
    "a run removed": (setting("runs.tensorflow-scratch", None), ANALYSIS),
    "a second seed": (setting("seeds", [1, 2]), training(*RUNS, seed=2) | ANALYSIS),
    "batch size of all": (setting("training.batch_size", 16), ALL | ANALYSIS),
    "epochs of all": (setting("training.epochs", 3), ALL | ANALYSIS),
    "augmentation": (setting(ANGLE, 10), ALL | ANALYSIS | PARITY),
    "the study's name": (setting("study", "other"), ALL | ANALYSIS | PARITY),
    # Data and weights
    "limit": (setting("dataset.limit", 50), SPLITS | AFTER_SPLITS),
    "validation fraction": (setting("dataset.validation_fraction", 0.25), SPLITS | AFTER_SPLITS),
    "seed of the split": (setting("dataset.seed", 1), SPLITS | AFTER_SPLITS),
    "test images": (setting("dataset.synthetic.test_images", 110), DATA | AFTER_SPLITS),
    "seed of the images": (setting("dataset.synthetic.seed", 1), DATA | AFTER_SPLITS),
    "one run from scratch": (
        setting("runs.pytorch-pretrained.weights", "none"),
        training("pytorch-pretrained") | ANALYSIS | PARITY,
    ),
    "own weights of one run": (
        use_own_weights,
        {"import_weights_pytorch"} | training("pytorch-pretrained") | ANALYSIS | PARITY,
    ),
    "longer pretraining": (
        setting("weights.synthetic.epochs", 2),
        ALL_WEIGHTS | PRETRAINED | ANALYSIS | PARITY,
    ),
    "address of weights that are not used": (setting("weights.imagenet.alexnet", MIRROR), set()),
    # The report
    "figure style": (setting("report.figures.dpi", 100), FIGURES),
    "report title": (setting("report.title", "Another title"), {"write_report"}),
    "report introduction": (setting("report.introduction", "To begin with"), {"write_report"}),
    "equivalence margin": (setting("report.equivalence_margin", 0.02), COMPARISON),
    "reported results": (file("config/reference.yaml"), FIGURES),
    "no reported results": (setting("report.reference", None), FIGURES),
    "no pictures": (setting("report.pictures", False), {"plot_figures", "write_report"}),
    "report template": (file("workflow/report/report.md.jinja"), {"write_report"}),
    "caption of Snakemake's own report": (file("workflow/report/metrics.rst"), set()),
    # What is no part of the experiment
    "README": (file("README.md"), set()),
    "a comment in the config": (file("config/config.yaml"), set()),
    "a profile": (file("profiles/default/config.yaml", new="\nretries: 1\n"), set()),
    "jobs that may share a GPU": (setting("training.jobs_per_gpu", 4), set()),
    "which checkpoints are taken up": (setting("training.resume", "exact"), set()),
    "a rule's message": (
        file(TRAINING_RULES, 'message:\n            "', 'message:\n            "Now: '),
        set(),
    ),
    "a rule's memory": (file(TRAINING_RULES, "scaled(TRAINING_MEMORY)", "9000"), set()),
    # Code, each module by its users
    "networks": (module("networks/architectures"), EVERYTHING_TRAINED),
    "epoch plan": (module("recipe/epoch_plan"), EVERYTHING_TRAINED),
    "training settings": (module("config/training"), EVERYTHING_TRAINED),
    "the other settings": (module("config/models"), set()),
    "reading of the config": (module("config/reading"), set()),
    "downloads": (module("data/download"), set()),
    "PyTorch's augmentation": (
        module("backends/pytorch/augmentation"),
        WEIGHTS["pytorch"] | PYTORCH | ANALYSIS | PARITY,
    ),
    "TensorFlow's augmentation": (
        module("backends/tensorflow/augmentation"),
        WEIGHTS["tensorflow"] | TENSORFLOW | ANALYSIS | PARITY,
    ),
    "what PyTorch says of its GPU": (
        module("backends/pytorch/accelerator"),
        PYTORCH | ANALYSIS | {"measure_pytorch", "check_parity"},
    ),
    "reading of AlexNet's file": (
        module("backends/pytorch/weights"),
        WEIGHTS["pytorch"] | training("pytorch-pretrained") | ANALYSIS | PARITY,
    ),
    "selection of images": (module("data/selection"), SPLITS | AFTER_SPLITS),
    "making of tensors": (module("data/tensors"), SPLITS - {"build_parquet"} | AFTER_SPLITS),
    "making of Parquet": (module("data/parquet"), {"build_parquet"}),
    "metrics": (module("analysis/metrics"), EVALUATION),
    "statistics": (module("analysis/statistics"), ANALYSIS),
    "comparisons": (module("analysis/comparisons"), COMPARISON),
    "drawing of figures": (module("analysis/figures"), FIGURES),
    "reading of results": (module("analysis/results"), ANALYSIS),
    "rendering of the report": (module("report/render"), {"write_report"}),
    "parity checks": (module("parity/comparing"), {"check_parity"} | FIGURES),
    "parity measurements": (module("parity/measuring"), PARITY | FIGURES),
    "TensorFlow's side of the audit": (
        module("backends/tensorflow/audit"),
        {"measure_tensorflow", "check_parity"} | FIGURES,
    ),
    "an entry script": (script("train"), ALL | ANALYSIS),
    "another entry script": (script("evaluate_runs"), EVALUATION),
    "a rule's command": (file(TRAINING_RULES, "--seed {", "--seed  {"), ALL | ANALYSIS),
    # Software
    "version of PyTorch": (
        file("envs/pytorch.yaml", "torch==", "torch==1"),
        WEIGHTS["pytorch"] | PYTORCH | ANALYSIS | PARITY,
    ),
    "version of TensorFlow": (
        file("envs/tensorflow.yaml", "tensorflow==", "tensorflow==1"),
        WEIGHTS["tensorflow"] | TENSORFLOW | ANALYSIS | PARITY,
    ),
    "version of the analysis": (
        file("envs/analysis.yaml", "scipy==", "scipy==1"),
        ANALYSIS | {"check_parity"},
    ),
}
# What a file's loss reruns, when the report's title is edited as well: then all its inputs are needed.
REPORT, RUN = {"write_report"}, "tiny/runs/pytorch-scratch/seed-1"
LOSSES: dict[str, set[str]] = {
    "data/synthetic-*/statistics.json": {"describe_tensors"} | REPORT,
    "data/synthetic-*/*.safetensors": REPORT,
    "data/synthetic-*/*.parquet": {"build_parquet"} | REPORT,
    "data/archives/*": REPORT,
    "weights/library/*": REPORT,
    "weights/*.safetensors": REPORT,
    "tiny/parity/*": REPORT,
    "tiny/parity.csv": {"check_parity"} | FIGURES,
    "tiny/metrics.csv": EVALUATION,
    "tiny/comparisons.csv": COMPARISON,
    "tiny/figures": FIGURES,
    "tiny/report.md": REPORT,
    "tiny/report.html": REPORT,
    f"{RUN}/history.csv": SCRATCH | ANALYSIS,
    f"{RUN}/predictions.parquet": SCRATCH | ANALYSIS,
    f"{RUN}/provenance.json": SCRATCH | ANALYSIS,
    f"{RUN}/model.*": REPORT,
    f"{RUN}/tensorboard": REPORT,
    f"{RUN}/benchmark.jsonl": REPORT,
    "**/*.log": REPORT,
}
ONE_RUN = training("pytorch-pretrained") | ANALYSIS
# Of a study whose archive and weights come from elsewhere: their checksums say what they are.
EDITS_OF_FETCHED: dict[str, tuple[Edit, set[str]]] = {
    "nothing": (nothing, set()),
    "path of the archive": (move_the_archive, set()),
    "a download of the same archive": (setting("dataset.archive", None), set()),
    "address of the archive": (setting("dataset.url", "https://example.org/a.tar.gz"), set()),
    "another archive": (use_another_archive, {"import_archive"} | SPLITS | ONE_RUN),
    "address of the weights": (setting("weights.imagenet.alexnet", MIRROR), set()),
    "other weights": (
        setting("weights.imagenet.alexnet", MIRROR | {"checksum": "0" * 8}),
        {"download_weights", "import_weights_pytorch"} | ONE_RUN,
    ),
    "code that downloads": (module("data/download"), set()),
    "script that imports the archive": (script("import_archive"), set()),
    "script that downloads weights": (script("download_weights"), set()),
}


def pending(summary: str) -> dict[str, str]:
    """The files that Snakemake would make, with their rules."""
    rows = (line.split("\t") for line in summary.splitlines() if line.count("\t") == 5)
    return {row[0]: row[2] for row in rows if row[5] == "update pending"}


def jobs(summary: str) -> set[str]:
    found = set()
    for path, rule in pending(summary).items():
        *_, run, seed, _ = Path(path).parts
        is_training = rule in ("train_pytorch", "train_tensorflow")
        found.add(f"{run} {seed.removeprefix('seed-')}" if is_training else rule)
    return found


@pytest.fixture
def summary_after(plan):
    """Snakemake's summary of a recorded study after an edit."""

    def summary(place: Workplace, edit: Edit, overlay: dict, *arguments: str) -> str:
        overlay = copy.deepcopy(overlay)
        edit(place.folder, overlay)
        status, output = plan(place, "--summary", *arguments, overlay=overlay)
        assert status == 0 and "output_file\t" in output, output
        return output

    return summary


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_exactly_what_it_touches(project, summary_after, name):
    edit, expected = EDITS[name]
    assert jobs(summary_after(project, edit, TINY)) == expected


@pytest.mark.parametrize("pattern", LOSSES)
def test_a_lost_file_reruns_only_what_makes_it(project, summary_after, pattern):
    def lose(folder: Path, overlay: dict) -> None:
        lost = list((folder / "results").glob(pattern))
        assert lost
        for path in lost:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        setting("report.title", "Another title")(folder, overlay)

    assert jobs(summary_after(project, lose, TINY)) == LOSSES[pattern]


@pytest.mark.parametrize("name", EDITS_OF_FETCHED)
def test_archives_and_weights_are_what_their_checksums_say(project, summary_after, name):
    edit, expected = EDITS_OF_FETCHED[name]
    assert jobs(summary_after(project, edit, FETCHED)) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cores", "1", "--resources", "gpu=1", "--keep-going", "--retries", "2"),
        ("--set-threads", "train_pytorch=1", "--set-resources", "train_tensorflow:mem_mb=9000"),
        ("--set-resources", "train_pytorch:checkpoint_steps=1", "train_pytorch:jobs_per_gpu=2"),
    ],
    ids=" ".join,
)
def test_how_a_study_is_run_reruns_nothing(project, summary_after, arguments):
    assert jobs(summary_after(project, nothing, TINY, *arguments)) == set()


@pytest.mark.parametrize(
    "name", ["limit", "validation fraction", "seed of the split", "test images"]
)
def test_other_data_settings_mean_another_folder(project, summary_after, name):
    made = [
        path for path in pending(summary_after(project, EDITS[name][0], TINY)) if "/data/" in path
    ]
    assert made
    assert not [path for path in made if (project.folder / path).exists()]


def test_a_quick_look_never_shares_its_images_with_the_full_study(workplace, plan):
    folders = []
    for arguments in ((), ("--config", "study=quick", "dataset={limit: 2000}")):
        status, output = plan(workplace, "--summary", *arguments)
        assert status == 0, output
        found = {Path(path).parent for path in pending(output) if "/data/" in path}
        folders.append(found - {Path("results/data/archives")})
    assert all(folders) and not folders[0] & folders[1]


def test_the_dry_run_names_the_setting_that_changed(project, plan):
    overlay = copy.deepcopy(TINY)
    overlay["runs"]["pytorch-scratch"] = {"learning_rate": 0.001, "frozen": ["conv1"]}
    status, output = plan(project, "--dry-run", overlay=overlay)
    assert status == 0
    (reason,) = [line for line in output.splitlines() if "'training.learning_rate=0.001'" in line]
    for text in (
        "'training.learning_rate=0.0007'",
        "'training.frozen=[]'",
        "'training.frozen=[\"conv1\"]'",
    ):
        assert text in reason
    assert "epochs" not in reason


def test_the_table_notices_code_that_is_not_tracked(workplace, stand_in_variables, summary_after):
    """A study recorded with one module left out of the inputs: the module's row is wrong."""
    place = replace(workplace, variables=stand_in_variables)
    leave_out = file(
        "workflow/scripts/twinbench/sources.py",
        "if file not in found",
        "if file not in found and 'augmentation' not in file.name",
    )
    leave_out(place.folder, {})
    assert place.snakemake(overlay=TINY).returncode == 0
    edit, expected = EDITS["PyTorch's augmentation"]
    assert jobs(summary_after(place, edit, TINY)) != expected
