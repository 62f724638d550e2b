"""The study through profiles/slurm on a real Slurm, and what faults leave of it: the same bits."""

import os
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from slurm import DEVICES, Job, Slurm, missing_programs, running_slurm, wait_until
from study import RUNS, SLURM, log, outcome, run_folder, snakemake, tables, workplace

pytestmark = pytest.mark.slurm

TRAINING = re.compile(r"rule_train_\w+_wildcards_(.+)_1")
ON_DEVICE = re.compile(rb"(train|pretrain_proxy|measure)_(pytorch|tensorflow)\.py$")


@dataclass
class Story:
    """What was seen of a study under faults. Jobs go by their numbers in Slurm, trainings by runs."""

    folder: Path
    given: dict[str, int] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    trainings: dict[str, str] = field(default_factory=dict)
    most_at_once: int = 0
    ends: dict[str, str] = field(default_factory=dict)
    started_while_drained: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    """The study on Slurm, each training struck once after a checkpoint, to its end."""
    if missing := missing_programs():
        pytest.fail(f"no {', '.join(missing)} here: apt-get install slurm-wlm munge, or the like")
    told = Story(workplace(tmp_path_factory.mktemp("cluster")))
    with running_slurm(tmp_path_factory.mktemp("slurm")) as slurm:
        _strike_each_training(slurm, told)
        _finish_on_a_node_that_was_drained(slurm, told)
    return told


def test_trainings_took_turns_on_two_devices_each_on_the_one_that_slurm_gave(story):
    assert set(story.trainings.values()) == set(RUNS)
    assert set(story.given.values()) == set(range(len(DEVICES)))
    assert story.most_at_once == len(DEVICES)
    assert story.used == {number: str(device) for number, device in story.given.items()}


def test_every_fault_struck(story):
    assert story.ends == {
        "pytorch-scratch": "CANCELLED",
        "tensorflow-scratch": "TIMEOUT",
        "pytorch-pretrained": "requeued",
        "tensorflow-pretrained": "Snakemake killed",
    }
    assert story.started_while_drained == set()


@pytest.mark.parametrize("run", RUNS)
def test_a_struck_training_went_on_from_its_checkpoint(story, run):
    assert _resumed(story.folder, run)
    assert not list(run_folder(story.folder, run).glob(".checkpoint*"))


@pytest.mark.parametrize("run", RUNS)
def test_a_runs_outcome_is_that_of_the_local_run_bit_for_bit(story, local, run):
    assert outcome(run_folder(story.folder, run)) == outcome(run_folder(local, run))


def test_the_tables_are_those_of_the_local_run(story, local):
    assert tables(story.folder) == tables(local)


def _strike_each_training(slurm: Slurm, told: Story) -> None:
    """Start the study and strike each training once it has a checkpoint, the last with Snakemake."""
    running = snakemake(told.folder, slurm.environment, *SLURM)
    struck: dict[str, Job] = {}

    def all_are_struck() -> bool:
        assert running.poll() is None, log(told.folder)
        for job in _observe(slurm, told):
            run = told.trainings.get(job.number)
            if run and run not in struck and _pause_at_checkpoint(slurm, told, job):
                struck[run] = job
                _strike(slurm, run, job)
        return set(struck) == set(RUNS)

    wait_until(all_are_struck, 900, "a checkpoint of each training")
    for run in ("pytorch-scratch", "tensorflow-scratch", "pytorch-pretrained"):
        job = struck[run]
        told.ends[run] = wait_until(lambda job=job: _end(slurm, told, job), 400, f"{run} to end")
    running.kill()
    running.wait()
    told.ends["tensorflow-pretrained"] = "Snakemake killed"
    # As docs/clusters.md says: the jobs of a killed Snakemake go on, and are to be cancelled.
    slurm.call("scancel", *(job.number for job in slurm.active()))
    wait_until(lambda: not slurm.active(), 120, "the jobs of the killed Snakemake to end")


def _strike(slurm: Slurm, run: str, job: Job) -> None:
    if run == "pytorch-scratch":
        slurm.call("scancel", job.number)
    if run == "tensorflow-scratch":
        slurm.call("scontrol", "update", f"JobId={job.number}", "TimeLimit=1")  # minutes
    if run == "pytorch-pretrained":
        slurm.call("scontrol", "requeue", job.number)  # what preemption does


def _end(slurm: Slurm, told: Story, job: Job) -> str:
    """How a struck job ended, or nothing while it has not; a requeued one ends by going on."""
    _observe(slurm, told)
    if "Restarts=1" in slurm.call("scontrol", "show", "job", job.number):
        return "requeued" if _resumed(told.folder, told.trainings[job.number]) else ""
    state = next(each.state for each in slurm.jobs() if each.number == job.number)
    return "" if state in ("RUNNING", "COMPLETING") else state


def _finish_on_a_node_that_was_drained(slurm: Slurm, told: Story) -> None:
    """Start Snakemake again, drain the node under its jobs, resume the node, wait for the end."""
    running = snakemake(told.folder, slurm.environment, *SLURM)
    node = slurm.call("sinfo", "--noheader", "--format=%n").strip()
    wait_until(lambda: _observe(slurm, told), 120, "a job to run")
    slurm.call("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    before = {job.number for job in slurm.jobs() if job.state != "PENDING"}
    wait_until(lambda: not _observe(slurm, told), 300, "the drained node to be empty")
    wait_until(lambda: slurm.active("PENDING"), 120, "a job to wait for the drained node")
    after = {job.number for job in slurm.jobs() if job.state != "PENDING"}
    told.started_while_drained = after - before
    slurm.call("scontrol", "update", f"NodeName={node}", "State=RESUME")
    wait_until(lambda: _observe(slurm, told) is None or running.poll() is not None, 600, "the end")
    assert running.returncode == 0, log(told.folder)


def _observe(slurm: Slurm, told: Story) -> list[Job]:
    """The running jobs, their devices told."""
    running = slurm.active("RUNNING")
    on_devices = [job for job in running if job.partition == "gpu"]
    told.most_at_once = max(told.most_at_once, len(on_devices))
    for job in on_devices:
        if job.number in told.used:
            continue
        for process in _computing(slurm, job):
            told.given[job.number] = slurm.device(job)
            told.used[job.number] = slurm.variable(process, "CUDA_VISIBLE_DEVICES")
            if training := TRAINING.fullmatch(job.name):
                told.trainings[job.number] = training[1]
    return running


def _pause_at_checkpoint(slurm: Slurm, told: Story, job: Job) -> bool:
    """Stop a training that has a checkpoint, so that it cannot end before its fault comes."""
    checkpoints = run_folder(told.folder, told.trainings[job.number]).glob(".checkpoint-*")
    processes = _computing(slurm, job) if list(checkpoints) else []
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    return bool(processes)


def _computing(slurm: Slurm, job: Job) -> list[int]:
    """The processes of a job that use its device."""
    return [p for p in slurm.processes(job) if ON_DEVICE.search(b" ".join(slurm.command(p)[:2]))]


def _resumed(folder: Path, run: str) -> bool:
    log = run_folder(folder, run) / "train.log"
    return log.exists() and "resumed from the checkpoint after epoch" in log.read_text()
