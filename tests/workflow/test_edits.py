"""What an edit reruns, by Snakemake's own summary of a recorded study: exactly these jobs."""

import copy
import functools
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import FETCHED, RUNS, TINY, Workplace

ANALYSIS = {"evaluate_runs", "compare_runs", "plot_figures", "write_report"}
REPORT = {"write_report"}
FIGURES = {"plot_figures"} | REPORT
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


def together(*edits: Edit) -> Edit:
    def edit(folder: Path, overlay: dict) -> None:
        for each in edits:
            each(folder, overlay)

    return edit


def losing(*patterns: str) -> Edit:
    """Files of the results deleted, and the report's title edited."""

    def edit(folder: Path, overlay: dict) -> None:
        for pattern in patterns:
            lost = list((folder / "results").glob(pattern))
            assert lost, pattern
            for path in lost:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        setting("report.title", "Another title")(folder, overlay)

    return edit


def module(path: str) -> Edit:
    return file(f"workflow/scripts/twinbench/{path}.py")


def script(name: str) -> Edit:
    return file(f"workflow/scripts/{name}.py")


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
    # The report
    "figure style": (setting("report.figures.dpi", 100), FIGURES),
    "report title": (setting("report.title", "Another title"), REPORT),
    "report introduction": (setting("report.introduction", "To begin with"), REPORT),
    "equivalence margin": (setting("report.equivalence_margin", 0.02), COMPARISON),
    "reported results": (file("config/reference.yaml"), FIGURES),
    "no reported results": (setting("report.reference", None), FIGURES),
    "no pictures": (setting("report.pictures", False), FIGURES),
    "report template": (file("workflow/report/report.md.jinja"), REPORT),
    # Code, each module by its users
    "networks": (module("networks/architectures"), EVERYTHING_TRAINED),
    "epoch plan": (module("recipe/epoch_plan"), EVERYTHING_TRAINED),
    "training settings": (module("config/training"), EVERYTHING_TRAINED),
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
    "rendering of the report": (module("report/render"), REPORT),
    "parity checks": (module("parity/comparing"), {"check_parity"} | REPORT),
    "parity measurements": (module("parity/measuring"), PARITY | REPORT),
    "TensorFlow's side of the audit": (
        module("backends/tensorflow/audit"),
        {"measure_tensorflow", "check_parity"} | REPORT,
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
# What reruns nothing. The last two are of all files and all keys: those that the others edited, too.
HARMLESS: dict[str, Edit] = {
    "a number as 7e-4": setting("training.learning_rate", "7e-4"),
    "a number as 15.0": setting(ANGLE, 15.0),
    "a default spelt out": setting("training.optimiser", {"beta_1": 0.9}),
    "address of weights that are not used": setting("weights.imagenet.alexnet", MIRROR),
    "jobs that may share a GPU": setting("training.jobs_per_gpu", 4),
    "which checkpoints are taken up": setting("training.resume", "exact"),
    "caption of Snakemake's own report": file("workflow/report/metrics.rst"),
    "README": file("README.md"),
    "a comment in the config": file("config/config.yaml"),
    "a profile": file("profiles/default/config.yaml", new="\nretries: 1\n"),
    "a rule's message": file(
        TRAINING_RULES, 'message:\n            "', 'message:\n            "Now: '
    ),
    "a rule's memory": file(TRAINING_RULES, "scaled(TRAINING_MEMORY)", "9000"),
    "the other settings": module("config/models"),
    "reading of the config": module("config/reading"),
    "downloads": module("data/download"),
    "a fresh git checkout": check_out_anew,
    "keys in another order": reverse_the_keys,
}
# What a file's loss reruns, when the report's title is edited as well: then all its inputs are needed.
RUN = "tiny/runs/pytorch-scratch/seed-1"
LOSSES: dict[str, set[str]] = {
    "data/synthetic-*/statistics.json": {"describe_tensors"} | REPORT,
    "data/synthetic-*/*.parquet": {"build_parquet"} | REPORT,
    "tiny/parity.csv": {"check_parity"} | REPORT,
    "tiny/metrics.csv": EVALUATION,
    "tiny/comparisons.csv": COMPARISON,
    "tiny/figures": FIGURES,
    f"{RUN}/history.csv": SCRATCH | ANALYSIS,
    f"{RUN}/predictions.parquet": SCRATCH | ANALYSIS,
    f"{RUN}/provenance.json": SCRATCH | ANALYSIS,
}
# What the report does not need: inputs of jobs that are done, and its own files.
DISPENSABLE = (
    "data/synthetic-*/*.safetensors",
    "data/archives/*",
    "weights/library/*",
    "weights/*.safetensors",
    "tiny/parity/*",
    "tiny/report.md",
    "tiny/report.html",
    f"{RUN}/model.*",
    f"{RUN}/tensorboard",
    f"{RUN}/benchmark.jsonl",
    "**/*.log",
)
ONE_RUN = training("pytorch-pretrained") | ANALYSIS
# Of a study whose archive and weights come from elsewhere: their checksums say what they are.
EDITS_OF_FETCHED: dict[str, tuple[Edit, set[str]]] = {
    "another archive": (use_another_archive, {"import_archive"} | SPLITS | ONE_RUN),
    "other weights": (
        setting("weights.imagenet.alexnet", MIRROR | {"checksum": "0" * 8}),
        {"download_weights", "import_weights_pytorch"} | ONE_RUN,
    ),
}
SAME_ARCHIVE: dict[str, Edit] = {
    "its path": move_the_archive,
    "a download": setting("dataset.archive", None),
}
# What reruns nothing, wherever the archive comes from.
HARMLESS_TO_FETCHED: dict[str, Edit] = {
    "address of the archive": setting("dataset.url", "https://example.org/a.tar.gz"),
    "address of the weights": setting("weights.imagenet.alexnet", MIRROR),
    "code that downloads": module("data/download"),
    "script that imports the archive": script("import_archive"),
    "script that downloads weights": script("download_weights"),
}


def jobs(summary: str) -> set[str]:
    """The jobs that Snakemake would run."""
    found = set()
    rows = (line.split("\t") for line in summary.splitlines() if line.count("\t") == 5)
    for path, rule in ((row[0], row[2]) for row in rows if row[5] == "update pending"):
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


def test_edits_that_change_no_result_rerun_nothing_all_together(project, summary_after):
    """Where this fails, parts of the table tell which of them it is."""
    assert jobs(summary_after(project, together(*HARMLESS.values()), TINY)) == set()


@pytest.mark.parametrize("pattern", LOSSES)
def test_a_lost_file_reruns_only_what_makes_it(project, summary_after, pattern):
    assert jobs(summary_after(project, losing(pattern), TINY)) == LOSSES[pattern]


def test_files_that_the_report_does_not_need_are_not_made_again(project, summary_after):
    assert jobs(summary_after(project, losing(*DISPENSABLE), TINY)) == REPORT


@pytest.mark.parametrize("name", EDITS_OF_FETCHED)
def test_archives_and_weights_are_what_their_checksums_say(project, summary_after, name):
    edit, expected = EDITS_OF_FETCHED[name]
    assert jobs(summary_after(project, edit, FETCHED)) == expected


@pytest.mark.parametrize("name", SAME_ARCHIVE)
def test_the_same_bytes_from_elsewhere_rerun_nothing(project, summary_after, name):
    edit = together(SAME_ARCHIVE[name], *HARMLESS_TO_FETCHED.values())
    assert jobs(summary_after(project, edit, FETCHED)) == set()


def test_how_a_study_is_run_reruns_nothing(project, summary_after):
    options = ("--cores", "1", "--resources", "gpu=1", "--keep-going", "--retries", "2")
    options += ("--set-threads", "train_pytorch=1", "--set-resources")
    options += ("train_tensorflow:mem_mb=9000", "train_pytorch:checkpoint_steps=1")
    options += ("train_pytorch:jobs_per_gpu=2",)
    assert jobs(summary_after(project, together(), TINY, *options)) == set()


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


def test_the_table_notices_code_that_is_not_tracked(quick_workplace, summary_after):
    """A pretraining recorded with one module left out of the inputs: the module's row is wrong."""
    place, target = quick_workplace, "pretrain_weights_pytorch"
    leave_out = file(
        "workflow/scripts/twinbench/sources.py",
        "if file not in found",
        "if file not in found and 'augmentation' not in file.name",
    )
    leave_out(place.folder, {})
    assert place.snakemake("--until", target, overlay=TINY).returncode == 0
    for name, noticed in (("PyTorch's augmentation", False), ("networks", True)):
        edit, expected = EDITS[name]
        assert target in expected
        assert (target in jobs(summary_after(place, edit, TINY))) == noticed
