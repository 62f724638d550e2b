# What the other rule files share: the config, and where things lie.

import os
import sys
from pathlib import Path

WORKFLOW = Path(workflow.current_basedir).parent
SCRIPTS = WORKFLOW / "scripts"
if str(SCRIPTS) not in sys.path:
    sys.path.insert(0, str(SCRIPTS))

from snakemake.exceptions import WorkflowError
from twinbench.configuration import Configuration, canonical
from twinbench.errors import InputError
from twinbench.sources import imported_files

try:
    CONFIGURATION = Configuration(config, WORKFLOW / "schemas" / "config.schema.yaml")
except InputError as error:
    raise WorkflowError(str(error)) from None

DATA = f"results/data/{CONFIGURATION.dataset_name}"
STUDY = f"results/{CONFIGURATION.study}"
RUN = f"{STUDY}/runs/{{run}}/seed-{{seed}}"

# Without conda or containers the rules use the Python that runs Snakemake, activated or not.
if not workflow.deployment_settings.deployment_method:
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]]
    )


def code(name):
    """The entry script `name` and every file of the package that it imports, the script first."""
    script = SCRIPTS / name
    return [
        str(script),
        *(str(path) for path in imported_files(script) if path != script),
    ]


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
    """Threads for each of so many jobs at once: shared evenly, cores do more than all in turn."""
    return max(1, (workflow.cores or 1) // max(1, jobs))


def threads_of_a_training(wildcards):
    return shared_cores(len(CONFIGURATION.runs) * len(CONFIGURATION.seeds))


def threads_of_a_pretraining(wildcards):
    starts = {CONFIGURATION.weights(run) for run in CONFIGURATION.runs}
    return shared_cores(sum(weights.source == "proxy" for weights in starts))


wildcard_constraints:
    run=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    seed=r"\d+",
