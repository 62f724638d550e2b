# What all rules share: the study, where things lie, and small functions that find inputs and settings.

import inspect
import json
import locale
import math
import os
import shlex
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger


def workflow_folder():
    """The path of workflow/, relative if inside the working directory, so that moving a project with its
    results reruns nothing. As a module from a remote repository, its files are fetched first.
    """
    rules = Path(inspect.currentframe().f_code.co_filename)
    if not rules.is_file():
        files = Path(workflow.source_path("../files.txt"))
        for name in files.read_text(encoding="utf-8").splitlines():
            workflow.source_path(f"../../{name}")
        return files.parent
    return Path(inside(rules.parents[1]))


def inside(path):
    """The path, relative if inside the working directory, though it may be reached through a link."""
    folder, path = Path.cwd(), Path(path)
    for each in (folder / path, path.resolve()):
        if each.is_relative_to(folder):
            return str(each.relative_to(folder))
    return str(path)


WORKFLOW = workflow_folder()
SCRIPTS, ENVIRONMENTS = WORKFLOW / "scripts", WORKFLOW.parent / "envs"
if str(SCRIPTS.absolute()) not in sys.path:
    sys.path.insert(0, str(SCRIPTS.absolute()))

from twinbench.config.arguments import to_arguments
from twinbench.config.models import Config
from twinbench.config.reading import belongs_here, check_file, values_beside
from twinbench.config.study import BACKENDS, Study, digest
from twinbench.errors import InputError
from twinbench.failures import describe_failure
from twinbench.machine import memory_mb
from twinbench.networks.architectures import ARCHITECTURES
from twinbench.sources import imported_files


def printable(text):
    """A text in the characters of the locale, in which Snakemake writes its log."""
    encoding = locale.getpreferredencoding(False)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def checked(check, *arguments):
    """What `check` returns; its refusal as an error of Snakemake's."""
    try:
        return check(*arguments)
    except InputError as error:
        raise WorkflowError(printable(str(error))) from None


STARTED = time.time()
CONFIG = "config/config.yaml"
# Before Snakemake reads it: on some files it hangs, on others it does not name the file. A file with other keys
# belongs to a workflow that uses this one as a module.
checked(check_file, Path(CONFIG), Config.model_fields)


configfile: CONFIG


# The files are read again for what merging hides, such as duplicate keys.
# In the order in which they count: what the command line names comes after the workflow's own file.
FILES = [Path(path) for path in workflow.configfiles]
FILES.sort(key=lambda path: inside(path) != CONFIG)
STUDY = checked(Study, config, FILES)
# How the study was asked for, besides config/config.yaml. As a module, or in another folder than the clone's, it has
# a config of its own. Files with other keys are those of a workflow that uses this one as a module.
OWN_FILES = [path for path in FILES if belongs_here(path)]
GIVEN = json.dumps(
    {
        "files": [inside(path) for path in OWN_FILES if inside(path) != CONFIG],
        "values": values_beside(config, FILES) if OWN_FILES else {},
        "elsewhere": not OWN_FILES
        or Path(CONFIG).resolve() != (WORKFLOW.parent / CONFIG).resolve(),
    }
)

RUN = f"{STUDY.folder}/runs/{{run}}/seed-{{seed}}"


wildcard_constraints:
    run=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    seed=r"\d+",


def code(script, *modules, environment=None):
    """The entry script, first, and every file of the package that it imports, as inputs: Snakemake does not
    look inside shell commands, so without these an edit of code would rerun nothing.

    `modules` are imported by name at run time. With `environment`, a file of envs/, another version of a
    library counts as other code. The files stay local where results go to a storage.
    """
    entry = SCRIPTS / script
    files = [entry]
    files += [path for path in imported_files(entry, *modules) if path != entry]
    if environment:
        files.append(ENVIRONMENTS / f"{environment}.yaml")
    return [local(str(path)) for path in files]


def backend_code(script, backend, *modules):
    """As `code`, for a script that imports these modules of a backend."""
    names = [f"twinbench.backends.{backend}.{module}" for module in modules]
    return code(script, *names, environment=backend)


# MB of a training or a pretraining. Measured, as peaks on two threads in float32 with batches of 128: 2.4 GB for
# AlexNet for 32x32 pixels, 3.3 GB for AlexNet at 128, 3.1 GB for VGG16 at 64; 0.2 GB more for 60,000 images.
TRAINING_MEMORY = 4000
# Whether jobs go to other machines, or this is such a job.
REMOTE = workflow.remote_exec or workflow.nodes is not None
# Jobs on one machine share its memory, unless `--resources` sets another sum. A profile cannot say this:
# profiles/default would replace the `resources` of the other profiles, and limit a cluster's jobs too.
if not REMOTE:
    workflow.global_resources.setdefault("mem_mb", memory_mb())
MEMORY = workflow.global_resources.get("mem_mb").value  # None on a cluster
if MEMORY and MEMORY < TRAINING_MEMORY:
    logger.warning(
        f"There are {MEMORY} MB of memory, and a training may need {TRAINING_MEMORY}: jobs run one at a time. If one "
        "is killed, lower training.batch_size."
    )


def scaled(amount):
    """Memory or time of a job that starts over: as much again with each retry."""
    return lambda wildcards, attempt: amount * attempt


# Jobs call `python`: this one, unless the environment that they are to run in comes before.
os.environ.update(
    PATH=os.pathsep.join([*os.get_exec_path(), str(Path(sys.executable).parent)])
)
# What the shell's PYTHONPATH names is not for the Python in a container. Apptainer reads this variable.
os.environ.setdefault("APPTAINERENV_PYTHONPATH", "")


def image(environment):
    """The container image of an environment: a local file, or one in a registry."""
    images = STUDY.config.container_images
    return images.get(environment, f"images/{environment}.sif")


def untracked_command(name, option, *values):
    """A script with an option for each value, to be passed as an untracked resource: a checksum defines the
    output, so a new address or path of the same bytes must not trigger a rerun."""
    return shlex.join([str(SCRIPTS / name), *(f"{option}={value}" for value in values)])


def users_file(path):
    """A file of the user's as an input, written so that no script takes its name for an option."""
    return str(Path(path).absolute()) if path.startswith("-") else path


def settings(values):
    """One param for each setting, such as `dataset.limit=2000`.

    Functions, since Snakemake looks for wildcards in text: a title may hold {braces}.
    """
    return [lambda wildcards, text=text: text for text in to_arguments(values).values()]


def settings_by(wildcard, values):
    """As `settings`, where they depend on a wildcard; `values` maps each of its values to settings.

    A job on a cluster reads the config again. It refuses unless its settings are those of its submission, which
    Snakemake records.
    """
    arguments = {key: to_arguments(each) for key, each in values.items()}
    names = next(iter(arguments.values()), [])
    digests = {key: digest([key, each]) for key, each in arguments.items()}
    edited = digests.keys() - as_submitted(wildcard, digests)

    def argument(wildcards, name):
        key = wildcards[wildcard]
        if key in edited:
            raise WorkflowError(
                f"the settings of {wildcard} {key} were edited after this job was submitted; "
                "start Snakemake again, and it is trained with the new ones"
            )
        return arguments[key][name]

    return [lambda wildcards, name=name: argument(wildcards, name) for name in names]


def as_submitted(name, digests):
    """The keys whose digests are those that the Snakemake which a user started had, and handed to its jobs by their
    environment: digests alone, since a variable holds at most 128 KiB, enough for ten thousand runs.
    """
    study = digest([str(Path.cwd()), STUDY.name, name])
    started = os.environ.setdefault(f"TWINBENCH_{study}", " ".join(digests.values()))
    known = set(started.split())
    return {key for key, each in digests.items() if each in known}


def run_files(name):
    """The file `name` of every run and seed."""
    return [
        f"{STUDY.folder}/runs/{run}/seed-{seed}/{name}"
        for run in STUDY.runs
        for seed in STUDY.seeds
    ]


def runs_of(backend):
    """The names of a backend's runs, as a pattern for a wildcard."""
    names = [run for run in STUDY.runs if STUDY.framework(run) == backend]
    return "|".join(names) or "$^"  # which matches no name


def cores_for_each(jobs):
    """Threads for each of so many trainings: side by side on equal shares they finish sooner than one after
    another on all cores. No more run side by side than have memory, in as few turns as that allows.

    One on a cluster, where `set-threads` gives a job its cores, and where nothing runs.
    """
    try:
        cores = 1 if REMOTE else workflow.cores
    except WorkflowError:  # without --cores
        return 1
    jobs = max(1, jobs)
    at_once = max(1, min(jobs, MEMORY // TRAINING_MEMORY)) if MEMORY else jobs
    turns = math.ceil(jobs / at_once)
    return max(1, cores // math.ceil(jobs / turns))


def library_file(model, weights_id):
    """A network's weights in its library's format; a file of the user's own is used where it lies."""
    if weights_id.startswith("file-"):
        # The identifier holds the file's checksum: a mere touch of it changes nothing.
        starts = [STUDY.weights(run) for run in STUDY.runs]
        path = next(w.path for w in starts if w.weights_id == weights_id)
        return local(ancient(users_file(path)))
    suffix = ARCHITECTURES[model].published.suffix
    return f"results/weights/library/{model}-{weights_id}.{suffix}"


def framework_free_file(model, weights_id):
    return f"results/weights/{model}-{weights_id}.safetensors"


def written_now(path):
    """Whether a file was written since this Snakemake started."""
    return path.exists() and path.stat().st_mtime >= STARTED


def failed_jobs():
    """The jobs that failed, after their retries; those of a group one by one."""
    found = sorted(workflow.scheduler.failed, key=lambda job: str(job.jobid))
    return [each for job in found for each in (job.jobs if job.is_group() else [job])]
