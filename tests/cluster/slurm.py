"""A real Slurm of one node on the loopback address, with stand-ins for GPUs, in a folder of its own."""

import getpass
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tiny import search_path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
# Any device file stands in for a GPU, as long as nothing tries to compute on it.
DEVICES = ("/dev/null", "/dev/zero")

# A requeued job waits for as long as a credential is valid; Slurm takes no less than 5 s.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=200000 Gres=gpu:{devices}
PartitionName=cpu Nodes={host} MaxTime=INFINITE State=UP Default=YES
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """The programs that this needs and the search path has not."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@dataclass(frozen=True)
class Job:
    """A job as `squeue` lists it; `name` is the comment, which names the rule and the wildcards."""

    number: str
    name: str
    state: str
    partition: str


@dataclass(frozen=True)
class Slurm:
    """A running Slurm; `variables` are what its clients need in their environment."""

    folder: Path
    variables: dict[str, str]

    def call(self, *command: str) -> str:
        """Standard output of a client program; its errors are raised with their text."""
        environment = os.environ | self.variables
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)}: {result.stderr}")
        return result.stdout

    def jobs(self) -> list[Job]:
        """All jobs, finished ones too."""
        lines = self.call("squeue", "--states=all", "--noheader", "--format=%i|%k|%T|%P")
        return [Job(*line.split("|")) for line in lines.splitlines()]

    def active(self, state: str = "") -> list[Job]:
        """The jobs that wait or run, or those in one such state."""
        states = (state,) if state else ("PENDING", "RUNNING", "COMPLETING")
        return [job for job in self.jobs() if job.state in states]

    def device(self, job: Job) -> int:
        """The GPU that Slurm gave to a running job."""
        details = self.call("scontrol", "--details", "show", "job", job.number)
        return int(re.search(r"GRES=gpu\S*\(IDX:(\d+)\)", details).group(1))

    def processes(self, job: Job) -> list[int]:
        """The processes of a job on this machine."""
        return [p for p in _processes() if self.variable(p, "SLURM_JOB_ID") == job.number]

    @staticmethod
    def variable(process: int, name: str) -> str | None:
        """A variable of a process's environment, as it was when the program started."""
        start = f"{name}=".encode()
        values = [v for v in _read(process, "environ").split(b"\0") if v.startswith(start)]
        return values[0].removeprefix(start).decode() if values else None

    @staticmethod
    def command(process: int) -> list[bytes]:
        """A process's program and arguments."""
        return _read(process, "cmdline").split(b"\0")


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """Within the block a Slurm runs; after it, however it ended, none of its processes is left."""
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o600)
    ports = _free_ports(2)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=host,
            user=getpass.getuser(),
            folder=folder,
            controller_port=ports[0],
            node_port=ports[1],
            devices=len(DEVICES),
        )
    )
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={d}\n" for d in DEVICES))
    programs = f"{_step_starter(folder, configuration)}:{search_path(Path(sys.executable).parent)}"
    slurm = Slurm(folder, {"SLURM_CONF": str(configuration), "PATH": programs})
    environment = os.environ | slurm.variables
    with ExitStack() as stack:
        stack.callback(_kill_what_is_left, folder)
        munge = [f"--{n}-file={folder}/munge.{n}" for n in ("key", "pid", "log", "seed")]
        munge += [f"--socket={folder}/munge.socket", "--num-threads=2", "--foreground", "--force"]
        stack.enter_context(_daemon(folder, environment, "munged", *munge))
        wait_until((folder / "munge.socket").exists, 20, "munged to open its socket")
        stack.enter_context(_daemon(folder, environment, "slurmctld", "-D"))
        stack.enter_context(_daemon(folder, environment, "slurmd", "-D", "-N", host))
        wait_until(lambda: "idle" in _node_state(slurm), 60, "the node to be idle")
        yield slurm


def wait_until(condition: Callable[[], object], seconds: float, what: str):
    """The condition's first true value; a `TimeoutError` that names `what` when none comes."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


@contextmanager
def _daemon(folder: Path, environment: dict, *command: str) -> Iterator[None]:
    """A daemon in the foreground of a session of its own, ended after the block."""
    with open(folder / f"{command[0]}.output", "w") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _step_starter(folder: Path, configuration: Path) -> Path:
    """A folder with an `srun` that knows the configuration: Snakemake hides SLURM_CONF from it."""
    starter = folder / "bin" / "srun"
    starter.parent.mkdir()
    starter.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {shutil.which("srun")} "$@"\n')
    starter.chmod(0o755)
    return starter.parent


def _node_state(slurm: Slurm) -> str:
    try:
        return slurm.call("sinfo", "--noheader", "--format=%T")
    except RuntimeError:  # not yet reachable
        return ""


def _kill_what_is_left(folder: Path) -> None:
    """Kill every process that was started for this Slurm: steps, jobs, clients that wait for them."""
    # SLURM_CONF is hidden from job steps, but not the folder on the search path.
    mark = f"{folder}/bin:".encode()
    for process in _processes():
        if mark in _read(process, "environ"):
            os.kill(process, signal.SIGKILL)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(process: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:  # ended meanwhile, or another user's
        return b""


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
