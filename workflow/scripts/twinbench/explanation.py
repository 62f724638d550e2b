"""What a run of the workflow would do, why, and about how long it would take.

Snakemake decides what runs. Its records of earlier runs, in .snakemake/metadata, hold the settings and
the checksums of each job's inputs, so that what changed can be told key by key and file by file.
"""

import ast
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snakemake.api import (
    ConfigSettings,
    DAGSettings,
    DeploymentSettings,
    OutputSettings,
    ResourceSettings,
    SnakemakeApi,
    WorkflowSettings,
)
from snakemake.cli import parse_args, parse_config
from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake.jobs import Job
from snakemake.persistence import MetadataRecord
from snakemake.settings.enums import Quietness
from snakemake.utils import available_cpu_count
from snakemake.workflow import Workflow

from twinbench.errors import InputError
from twinbench.files import checksum
from twinbench.progress import duration

_LISTED = 2  # things named in one reason; the others are counted


@dataclass(frozen=True)
class Task:
    """A job that would run. `seconds` is None where no earlier run tells; `after` names tasks."""

    name: str
    reasons: tuple[str, ...]
    seconds: float | None
    threads: int
    after: frozenset[str]


def explain(arguments: list[str]) -> str:
    """The answer, for the arguments with which snakemake would be called."""
    # Snakemake's own parser, so that profiles count and all arguments are known.
    _, parsed = parse_args(arguments)
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        try:
            workflow = _workflow(api, parsed)
            jobs = sum(bool(job.output) for job in workflow.dag.jobs)
            return text(list(_tasks(workflow)), jobs, workflow.resource_settings.cores)
        except WorkflowError as error:
            raise InputError(str(error)) from None


def text(tasks: list[Task], jobs: int, cores: int) -> str:
    """The tasks with their reasons and times, and a line for all; `jobs` counts the study's jobs."""
    if not tasks:
        return "Nothing would run: every result is there and up to date."
    lines = []
    for task in tasks:
        lines.append(f"{task.name} ({_about(task.seconds)})")
        lines += [f"    {reason}" for reason in task.reasons]
    unknown = sum(task.seconds is None for task in tasks)
    known = total_seconds(tasks, cores)
    lines += ["", f"{len(tasks)} of {jobs} jobs would run"]
    if unknown < len(tasks):
        lines[-1] += f", in about {duration(known)} on {cores} core{'s' * (cores > 1)}"
    if unknown:
        lines[-1] += f" ({unknown} of them without an earlier run to go by)"
    return "\n".join(lines)


def total_seconds(tasks: list[Task], cores: int) -> float:
    """When the last task ends, if each starts once those before it are done and cores are free."""
    waiting, running, done = list(tasks), [], set()
    now, free = 0.0, cores
    while waiting or running:
        for task in [t for t in waiting if t.after <= done]:
            threads = min(task.threads, cores)
            if threads <= free:
                waiting.remove(task)
                free -= threads
                heapq.heappush(running, (now + (task.seconds or 0.0), threads, task.name))
        now, threads, name = heapq.heappop(running)
        free += threads
        done.add(name)
    return now


def changes(old: object, new: object, path: str = "") -> Iterator[str]:
    """Each key that differs, by its path, with both values: `training.learning_rate 0.1 -> 0.2`."""
    old, new = _by_name(old), _by_name(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            below = f"{path}.{key}" if path else key
            yield from changes(old.get(key, _Unset), new.get(key, _Unset), below)
    elif old != new:
        yield f"{path} {_value(old)} -> {_value(new)}"


def _by_name(value: object) -> object:
    """A list of groups that have names, such as the twins, as a group of them."""
    named = isinstance(value, list) and all(isinstance(v, dict) and "name" in v for v in value)
    return {each["name"]: each for each in value} if named and value else value


class _Unset:
    """Stands for a key that is not there."""


def _value(value: object) -> str:
    return "(not set)" if value is _Unset else json.dumps(value, ensure_ascii=False)


def _about(seconds: float | None) -> str:
    return "no earlier run to go by" if seconds is None else f"about {duration(seconds)}"


def _workflow(api: SnakemakeApi, parsed) -> Workflow:
    """The workflow with its graph of jobs, as for a dry run."""
    workflow_api = api.workflow(
        resource_settings=ResourceSettings(
            cores=parsed.cores or parsed.jobs or available_cpu_count(),
            overwrite_threads=parsed.set_threads,
            overwrite_resources=parsed.set_resources,
            resources=parsed.resources,
        ),
        config_settings=ConfigSettings(
            config=parse_config(parsed.config),
            configfiles=parsed.configfile,
            config_args=parsed.config,
        ),
        workflow_settings=WorkflowSettings(),
        deployment_settings=DeploymentSettings(deployment_method=parsed.software_deployment_method),
        snakefile=parsed.snakefile,
        workdir=parsed.directory,
    )
    graph = workflow_api.dag(
        DAGSettings(
            targets=parsed.targets,
            forceall=parsed.forceall,
            forcetargets=parsed.force,
            forcerun=parsed.forcerun,
            until=parsed.until,
            omit_from=parsed.omit_from,
            force_incomplete=True,
            rerun_triggers=parsed.rerun_triggers,
        )
    )
    # As `snakemake --summary` does it; the public interface only prints.
    workflow = graph.workflow_api._workflow
    workflow._prepare_dag(forceall=parsed.forceall, ignore_incomplete=False, lock_warn_only=True)
    workflow._build_dag()
    return workflow


def _tasks(workflow: Workflow) -> Iterator[Task]:
    """The jobs that would run, each after those that it waits for."""
    dag = workflow.dag
    needed = {job for job in dag.needrun_jobs() if job.output}
    for level in dag.toposorted():
        for job in sorted(needed & set(level), key=_name):
            after = frozenset(_name(other) for other in dag.dependencies[job] if other in needed)
            reasons = [*_reasons(workflow, job)] or [f"follows from: {_listed(sorted(after))}"]
            yield Task(_name(job), tuple(reasons), _seconds(workflow, job), job.threads, after)


def _name(job: Job) -> str:
    return job.message or str(job)


def _record(workflow: Workflow, job: Job) -> MetadataRecord | None:
    """What Snakemake noted when the job last ran."""
    records = (workflow.persistence.metadata(file) for file in job.output)
    return next((record for record in records if record), None)


def _reasons(workflow: Workflow, job: Job) -> Iterator[str]:
    reason, record = workflow.dag.reason(job), _record(workflow, job)
    if reason.forced:
        yield "asked for on the command line"
    if workflow.async_run(workflow.persistence.incomplete(job)):
        yield "was interrupted last time"
    missing = [file for file in job.output if not Path(file).exists()]
    if missing:
        yield f"missing: {_listed(missing)}"
    if record is None:
        return
    yield from _changed_settings(record.params or [], job)
    updated = {str(file) for file in reason.updated_input}
    changed = [f for f in job.input if f in updated or _differs(f, record.input_checksums or {})]
    if changed:
        yield f"changed: {_listed(changed)}"
    before = set(record.input or [])
    if added := [file for file in job.input if file not in before]:
        yield f"new input: {_listed(added)}"
    if dropped := sorted(before - set(job.input)):
        yield f"no longer an input: {_listed(dropped)}"
    if record.code is not None and record.code != job.rule.shellcmd:
        yield f"the command of rule {job.rule.name} changed"
    if reason.software_stack_changed:
        yield "the software environment changed"


def _changed_settings(recorded: list[str], job: Job) -> Iterator[str]:
    """Settings that differ from the recorded ones, which come without names."""
    new = {name: value for name, value in job.params.items() if repr(value) not in recorded}
    current = {repr(value) for value in job.params}
    old = [ast.literal_eval(text) for text in recorded if text not in current]
    derived = {repr(v) for v in job.params} - {repr(v) for v in job.non_derived_params}
    for name, value in new.items():
        if repr(value) in derived:
            continue
        before = next((v for v in old if _is_settings(v) == _is_settings(value)), _Unset)
        if _is_settings(value) and before is not _Unset:
            yield from changes(json.loads(before), json.loads(value))
        else:
            yield from changes(before, value, name)


def _is_settings(value: object) -> bool:
    return isinstance(value, str) and value.startswith("{")


def _differs(file: str, recorded: dict[str, str]) -> bool:
    """Whether the file's content is another than when the job last ran, where that is known."""
    noted = recorded.get(file)
    if not noted or not Path(file).is_file():
        return False
    return noted.removeprefix("sha256:") != checksum(file)


def _listed(things: list[str]) -> str:
    shown = "; ".join(map(str, things[:_LISTED]))
    return shown if len(things) <= _LISTED else f"{shown} and {len(things) - _LISTED} more"


def _seconds(workflow: Workflow, job: Job) -> float | None:
    """How long the job may take, from the times of earlier runs."""
    if job.rule.name.startswith("train_"):
        return _training_seconds(job)
    # Where there is none at this place, one with other settings, whose result lies beside it.
    beside = sorted(Path(job.output[0]).parent.glob(f"*{Path(job.output[0]).suffix}"))
    for path in (job.output[0], *(IOFile(str(path), job.rule) for path in beside)):
        record = workflow.persistence.metadata(path)
        if record and record.rule == job.rule.name and record.starttime and record.endtime:
            settings = [ast.literal_eval(text) for text in record.params or []]
            before, now = _work(settings), _work(list(job.params))
            return max(0.0, record.endtime - record.starttime) * now / before
    return None


def _work(parameters: list) -> float:
    """How much a job has to do, as far as its settings tell: images times epochs of a pretraining."""
    for value in filter(_is_settings, parameters):
        settings = json.loads(value)
        if "images" in settings and "training" in settings:
            return settings["images"] * settings["training"]["epochs"]
    return 1.0


def _training_seconds(job: Job) -> float | None:
    """From the same run, else from the run most like it on the same data, for as many epochs."""
    settings = json.loads(job.params.settings)
    own = Path(job.output.provenance)
    # results/<study>/runs/<run>/seed-<n>/provenance.json
    others = sorted(own.parents[4].glob("*/runs/*/seed-*/provenance.json"))
    study = [path for path in others if path.parents[3] == own.parents[3]]
    for path in (own, *study, *others):
        record = _read(path)
        if record and _kind(record, record["settings"]) == _kind(settings, settings["training"]):
            epochs = settings["training"]["epochs"]
            return record["total_seconds"] * epochs / record["epochs_run"]
    return None


def _kind(facts: dict, training: dict) -> tuple:
    """What decides the time of an epoch."""
    names = ("input_size", "progressive_resizing", "batch_normalisation", "precision")
    values = [training.get(name) for name in names]
    return (facts["framework"], facts["model"], facts["dataset"]["name"], *values)


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
