"""Fixtures of several rooms. Both frameworks meet in one process here, as they never do in a job."""

import resource
import signal
from contextlib import contextmanager

import pytest


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


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=2, help="how often a study is killed")


@pytest.fixture
def kills(request) -> int:
    return request.config.getoption("--kills")
