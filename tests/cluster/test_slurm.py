"""The study through profiles/slurm on a real Slurm, and what faults leave of it: the same bits."""

import os
import re
import signal
from dataclasses import dataclass, field, replace

import pytest
from slurm import DEVICES, Job, Slurm, missing_programs, running_slurm, wait_until
from study import SLURM, log, run_folder, start
from tiny import RUNS, Workplace, copy_narrow_project, differences

pytestmark = pytest.mark.slurm

TRAINING = re.compile(r"rule_train_\w+_wildcards_(.+)_1")
ON_DEVICE = re.compile(rb"(train|pretrain_weights)\.py$")
REQUEUED = "requeued"


@dataclass
class Story:
    """What was seen of a study under faults. Jobs go by their numbers in Slurm, trainings by runs."""

    place: Workplace
    given: dict[str, int] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    trainings: dict[str, str] = field(default_factory=dict)
    most_at_once: int = 0
    ends: dict[str, str] = field(default_factory=dict)
    started_while_drained: set[str] = field(default_factory=set)
    refused: str = ""


@pytest.fixture(scope="module")
def story(tmp_path_factory, starting_local) -> Story:
    """The study on Slurm, each training struck once after a checkpoint, to its end."""
    if missing := missing_programs():
        pytest.fail(f"no {', '.join(missing)} here: apt-get install slurm-wlm munge, or the like")
    place = copy_narrow_project(tmp_path_factory.mktemp("cluster"))
    _save_within_epochs(place)
    with running_slurm(tmp_path_factory.mktemp("slurm")) as slurm:
        seen = Story(replace(place, variables=slurm.variables))
        _strike_each_training(slurm, seen)
        _finish_on_a_node_that_was_drained(slurm, seen)
    return seen


def test_trainings_took_turns_on_two_devices_each_on_the_one_that_slurm_gave(story):
    assert set(story.trainings.values()) == set(RUNS)
    assert set(story.given.values()) == set(range(len(DEVICES)))
    assert story.most_at_once == len(DEVICES)
    assert story.used == {number: str(device) for number, device in story.given.items()}


def test_every_fault_struck(story):
    assert story.ends == {
        "pytorch-scratch": "CANCELLED",
        "tensorflow-scratch": "FAILED",
        "pytorch-pretrained": REQUEUED,
        "tensorflow-pretrained": "Snakemake killed",
    }
    assert story.started_while_drained == set()


def test_a_job_whose_settings_were_edited_while_it_waited_refuses(story):
    assert "edited after this job was submitted" in story.refused


@pytest.mark.parametrize("run", RUNS)
def test_a_struck_training_went_on_from_its_checkpoint(story, run):
    assert _resumed(story.place, run)
    assert not list(run_folder(story.place, run).glob(".checkpoint*"))


def test_the_results_are_those_of_the_local_run_bit_for_bit(story, local):
    assert differences(story.place.results / "tiny", local.results / "tiny") == []


def _save_within_epochs(place: Workplace) -> None:
    """Trainings as short as these would save no checkpoint of their own."""
    profile = place.folder / "profiles" / "slurm" / "config.yaml"
    text, memory = profile.read_text(), "    mem_mb: 8000 * attempt\n"
    assert memory in text
    profile.write_text(text.replace(memory, f"{memory}    checkpoint_steps: 1\n"))


def _strike_each_training(slurm: Slurm, seen: Story) -> None:
    """Start the study and strike each training once it has a checkpoint, the last with Snakemake."""
    running = start(seen.place, *SLURM)
    struck: dict[str, Job] = {}

    def all_are_struck() -> bool:
        assert running.poll() is None, log(seen.place)[-5000:]
        for job in _observe(slurm, seen):
            run = seen.trainings.get(job.number)
            if run and run not in struck and (processes := _paused_at_checkpoint(slurm, seen, job)):
                struck[run] = job
                _strike(slurm, run, job, processes)
        return set(struck) == set(RUNS)

    wait_until(all_are_struck, 900, "a checkpoint of each training")
    for run in ("pytorch-scratch", "tensorflow-scratch", "pytorch-pretrained"):
        job = struck[run]
        seen.ends[run] = wait_until(lambda job=job: _end(slurm, seen, job), 400, f"{run} to end")
    running.kill()
    running.wait()
    seen.ends["tensorflow-pretrained"] = "Snakemake killed"
    # As docs/clusters.md says: the jobs of a killed Snakemake go on, and have to be cancelled.
    slurm.call("scancel", *(job.number for job in slurm.active()))
    wait_until(lambda: not slurm.active(), 120, "the jobs of the killed Snakemake to end")
    assert seen.place.snakemake("--unlock").returncode == 0


def _strike(slurm: Slurm, run: str, job: Job, processes: list[int]) -> None:
    if run == "pytorch-scratch":
        slurm.call("scancel", job.number)
    if run == "tensorflow-scratch":  # as where memory is short
        for process in processes:
            os.kill(process, signal.SIGKILL)
    if run == "pytorch-pretrained":
        slurm.call("scontrol", "requeue", job.number)  # what preemption does


def _end(slurm: Slurm, seen: Story, job: Job) -> str:
    """How a struck job ended, or nothing while it has not; a requeued one ends by going on."""
    _observe(slurm, seen)
    if "Restarts=1" in slurm.call("scontrol", "show", "job", job.number):
        return REQUEUED if _resumed(seen.place, seen.trainings[job.number]) else ""
    state = next(each.state for each in slurm.jobs() if each.number == job.number)
    return "" if state in ("RUNNING", "COMPLETING") else state


def _finish_on_a_node_that_was_drained(slurm: Slurm, seen: Story) -> None:
    """Start Snakemake again, drain the node under its jobs, resume the node, wait for the end."""
    running = start(seen.place, *SLURM)
    node = slurm.call("sinfo", "--noheader", "--format=%n").strip()
    wait_until(lambda: _observe(slurm, seen), 120, "a job to run")
    slurm.call("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    before = {job.number for job in slurm.jobs() if job.state != "PENDING"}
    wait_until(lambda: not _observe(slurm, seen), 300, "the drained node to be empty")
    wait_until(lambda: slurm.active("PENDING"), 120, "a job to wait for the drained node")
    after = {job.number for job in slurm.jobs() if job.state != "PENDING"}
    seen.started_while_drained = after - before
    overlay = seen.place.folder / "overlay.yaml"
    asked = overlay.read_text()
    overlay.write_text(asked.replace("epochs: 3", "epochs: 4"))
    slurm.call("scontrol", "update", f"NodeName={node}", "State=RESUME")
    seen.refused = wait_until(lambda: _refusal(seen.place), 200, "a training to refuse")
    overlay.write_text(asked)  # before Snakemake submits it again
    wait_until(lambda: _observe(slurm, seen) is None or running.poll() is not None, 600, "the end")
    assert running.returncode == 0, log(seen.place)[-5000:]


def _refusal(place: Workplace) -> str:
    """What a job on the cluster said of edited settings."""
    logs = (place.results / "logs" / "slurm").rglob("*.log")
    texts = (path.read_text(errors="replace") for path in logs)
    return next((text for text in texts if "were edited" in text), "")


def _observe(slurm: Slurm, seen: Story) -> list[Job]:
    """The running jobs; their devices are noted."""
    running = slurm.active("RUNNING")
    on_devices = [job for job in running if job.partition == "gpu"]
    seen.most_at_once = max(seen.most_at_once, len(on_devices))
    for job in on_devices:
        if job.number in seen.used:
            continue
        for process in _computing(slurm, job):
            seen.given[job.number] = slurm.device(job)
            seen.used[job.number] = slurm.variable(process, "CUDA_VISIBLE_DEVICES")
            if training := TRAINING.fullmatch(job.name):
                seen.trainings[job.number] = training[1]
    return running


def _paused_at_checkpoint(slurm: Slurm, seen: Story, job: Job) -> list[int]:
    """The processes of a training that has a checkpoint, stopped, so that it cannot end before its
    fault comes."""
    checkpoints = run_folder(seen.place, seen.trainings[job.number]).glob(".checkpoint-*")
    processes = _computing(slurm, job) if list(checkpoints) else []
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    return processes


def _computing(slurm: Slurm, job: Job) -> list[int]:
    """The processes of a job that use its device."""
    return [p for p in slurm.processes(job) if ON_DEVICE.search(b" ".join(slurm.command(p)[:2]))]


def _resumed(place: Workplace, run: str) -> bool:
    log_file = run_folder(place, run) / "train.log"
    return log_file.exists() and "resumed from the checkpoint" in log_file.read_text()
