"""Fixtures of several rooms."""

import os
import resource
import runpy
import signal
import sys
from contextlib import contextmanager

import pytest
from support import SCRIPTS, TINY, TINY_RESIZABLE
from training.pretended import GPU_A, Machine
from twinbench.networks.architectures import ARCHITECTURES

# On a machine with a GPU too the tests run on the processor, unless this variable says otherwise.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def limit_file_size():
    """Within the block no file of this process can grow beyond so many bytes, as on a full disk."""

    @contextmanager
    def limit(size: int):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing fails with an error
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

    return limit


@pytest.fixture
def run_script(monkeypatch):
    """Runs an entry script in this process, where models can be the tiny networks.

    Returns what it exits with.
    """
    for network in (TINY, TINY_RESIZABLE):
        monkeypatch.setitem(ARCHITECTURES, network.name, network)
    # What is for the life of a process, which here is not the script's.
    for module in ("training.run", "parity.measuring"):
        monkeypatch.setattr(f"twinbench.{module}.keep_freed_memory", lambda: None)
    monkeypatch.setattr("twinbench.environment.enter", lambda option: None)

    def run(name: str, arguments: list[str]) -> int:
        monkeypatch.setattr(sys, "argv", [str(SCRIPTS / name), *arguments])
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            return end.code
        return 0

    return run


UNUSABLE = {"not found": ("8.0", "make .venv GPU=yes"), "too old": ("7.0", "needs 7.5 to ")}


@pytest.fixture(params=UNUSABLE)
def unusable_gpu(request, tmp_path, monkeypatch) -> str:
    """A GPU that nvidia-smi lists and no framework can use; leases of it lie in the test's folder.

    Returns what the line about it holds.
    """
    machine = Machine(tmp_path)
    capability, cause = UNUSABLE[request.param]
    machine.lists(f"GPU 0: X (UUID: {GPU_A})\n", f"{GPU_A}, {capability}\n")
    monkeypatch.setenv("PATH", f"{machine.programs}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return cause


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=2, help="how often a study is killed")


@pytest.fixture
def kills(request) -> int:
    return request.config.getoption("--kills")
