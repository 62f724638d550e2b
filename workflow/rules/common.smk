# What the stages share: the config, where things lie, and the functions that find inputs and settings.

import platform
import shlex
import sys
from os import PathLike
from pathlib import Path
from types import SimpleNamespace


def workflow_folder(rules):
    """The folder workflow/ on this machine, where `rules` is its folder of rules.

    Of a repository elsewhere, from which another workflow takes this one as a module, the files are
    fetched as Snakemake fetches the rules.
    """
    if isinstance(rules, PathLike):
        return Path(rules).parent
    names = rules.hosted_repo.repo.git.ls_tree(
        "-r", "--name-only", rules.ref, "workflow", "envs"
    ).splitlines()
    files = [workflow.source_path(f"../../{name}") for name in names]
    return Path(files[names.index("workflow/scripts/twinbench/__init__.py")]).parents[2]


WORKFLOW = workflow_folder(workflow.current_basedir)
if str(WORKFLOW / "scripts") not in sys.path:
    sys.path.insert(0, str(WORKFLOW / "scripts"))
# Relative where they lie below the working directory: Snakemake tracks names of inputs too, and a
# project that was moved or cloned elsewhere together with its results has nothing to rerun.
if WORKFLOW.is_relative_to(Path.cwd()):
    WORKFLOW = WORKFLOW.relative_to(Path.cwd())
SCRIPTS = WORKFLOW / "scripts"
ENVIRONMENTS = WORKFLOW.parent / "envs"

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.logging import logger
from twinbench import workplace
from twinbench.configuration import Configuration, canonical
from twinbench.errors import InputError
from twinbench.interpreter import put_first_on_path
from twinbench.sources import imported_files

RESULTS = Path("results")
CLOCK_OFFSET = workplace.clock_offset()

try:
    # Another workflow that takes this one as a module reads its own files.
    files = workflow.configfiles if workflow.modifier.is_main_snakefile() else []
    CONFIGURATION = Configuration(
        config, WORKFLOW / "schemas" / "config.schema.yaml", map(Path, files)
    )
    if workflow.is_main_process:
        for folder in (Path(".snakemake"), RESULTS):
            workplace.check_writable(folder)
        workplace.check_clock(RESULTS)
except InputError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    LIFE, removed = workplace.announce(Path(".snakemake"), platform.node())
    if removed:
        logger.info("An earlier run in this folder was killed: its lock is removed.")

DATA = f"results/data/{CONFIGURATION.dataset_name}"
STUDY = f"results/{CONFIGURATION.study}"
OFFICIAL_SUFFIX = {"alexnet": "pth", "vgg16": "h5"}
PARITY_LADDER, PARITY_AUDIT = f"{STUDY}/parity.csv", f"{STUDY}/parity-audit.csv"
RUN = f"{STUDY}/runs/{{run}}/seed-{{seed}}"

# Without conda or containers jobs use the Python that runs Snakemake, activated or not.
DEPLOYMENT = workflow.deployment_settings.deployment_method
if not DEPLOYMENT:
    put_first_on_path()


def warn_of_the_clock():
    """At the end: times of files that misled the next run would cost all that was done."""
    warning = workplace.told_of_the_clock(CLOCK_OFFSET, RESULTS)
    if warning:
        logger.warning(warning)


def code(name, environment=None):
    """The entry script `name`, every file of the package that it imports, and what it runs on.

    The script is the first. `environment` names a file of envs/: another version of a library then
    counts as another code, with conda or without. They stay local where results go to a storage:
    Snakemake sends the sources along.
    """
    folder = SCRIPTS.absolute()
    imported = [path.relative_to(folder) for path in imported_files(folder / name)]
    files = [
        SCRIPTS / name,
        *(SCRIPTS / path for path in imported if str(path) != name),
    ]
    if environment:
        files.append(ENVIRONMENTS / f"{environment}.yaml")
    return [local(str(path)) for path in files]


def image(environment):
    """The container image of a file of envs/: a local file, or one of a registry."""
    images = CONFIGURATION.images
    if "://" in images:
        return f"{images}-{environment}"
    file = Path(images) / f"{environment}.sif"
    if DeploymentMethod.APPTAINER in DEPLOYMENT and not file.exists():
        raise WorkflowError(
            f"config: images: there is no file {file}; `make sif` builds it, see docs/clusters.md"
        )
    return str(file)


def command(name, option, value):
    """A command whose result its checksum decides. It is to stand where Snakemake does not track it:
    another address of the same bytes, or another way to fetch them, reruns nothing."""
    return shlex.join([str(SCRIPTS / name), option, value])


def run_files(name):
    """The file `name` of every run and seed."""
    return [
        f"{STUDY}/runs/{run}/seed-{seed}/{name}"
        for run in CONFIGURATION.runs
        for seed in CONFIGURATION.seeds
    ]


def runs_of(framework):
    """The names of a framework's runs, as a pattern for a wildcard."""
    names = [
        run for run in CONFIGURATION.runs if CONFIGURATION.framework(run) == framework
    ]
    return "|".join(names) or "$^"  # which matches no name


def shared_cores(jobs):
    """Threads for each of so many jobs at once: shared evenly, cores do more than all in turn.

    One on a cluster, where neither the machine that submits nor the one that computes has cores to share
    out: there `set-threads` gives a job its cores.
    """
    if workflow.non_local_exec or workflow.remote_exec:
        return 1
    return max(1, workflow.cores // max(1, jobs))


def threads_of_a_training(wildcards):
    return shared_cores(len(CONFIGURATION.runs) * len(CONFIGURATION.seeds))


def threads_of_a_pretraining(wildcards):
    starts = {CONFIGURATION.weights(run) for run in CONFIGURATION.runs}
    return shared_cores(sum(weights.source == "proxy" for weights in starts))


def official_file(model):
    """The input function that finds a net's file in the official format."""

    def find(wildcards):
        if not wildcards.identity.startswith("file-"):
            return f"results/weights/official/{model}-{wildcards.identity}.{OFFICIAL_SUFFIX[model]}"
        # The identity holds the file's checksum: a mere touch of it changes nothing.
        starts = [CONFIGURATION.weights(run) for run in CONFIGURATION.runs]
        path = next(w.path for w in starts if w.identity == wildcards.identity)
        return local(ancient(path))

    return find


def official_checksum(wildcards):
    return CONFIGURATION.official(wildcards.model)["checksum"]


def official_download(wildcards):
    url = CONFIGURATION.official(wildcards.model)["url"]
    return command("download_weights.py", "--url", url)


def run_settings(wildcards):
    """All that decides a run's training, data and starting weights aside, as one canonical text."""
    run = wildcards.run
    return canonical(
        {
            "run": run,
            "framework": CONFIGURATION.framework(run),
            "model": CONFIGURATION.model(run),
            "weights": CONFIGURATION.weights(run).description,
            "dataset": {
                "name": CONFIGURATION.dataset_name,
                "source": CONFIGURATION.dataset["source"],
            },
            "training": CONFIGURATION.training(run),
        }
    )


def starting_weights(wildcards):
    identity = CONFIGURATION.weights(wildcards.run).identity
    model = CONFIGURATION.model(wildcards.run)
    return [f"results/weights/{model}-{identity}.safetensors"] if identity else []


def twins_with_weights():
    return [twin for twin in CONFIGURATION.twins() if twin["weights"] != "none"]


def weights_of_twins(wildcards):
    """The framework-free weights of the twins that start from some."""
    return [
        f"results/weights/{twin['model']}-{twin['identity']}.safetensors"
        for twin in twins_with_weights()
    ]


def official_files_of_twins(wildcards):
    """The files in the official format from which these weights come."""
    return [
        official_file(twin["model"])(SimpleNamespace(**twin))
        for twin in twins_with_weights()
    ]


def parity_options(wildcards, input):
    """The report's options for the ladder and the audit, where the study has them."""
    if not input.parity:
        return ""
    ladder, audit = input.parity
    return f"--parity {ladder} --audit {audit}"


def runs_directory(wildcards, input):
    """The folder runs/ of <study>/runs/<run>/seed-<n>/predictions.parquet."""
    return str(Path(input.predictions[0]).parents[2])


wildcard_constraints:
    run=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    seed=r"\d+",
