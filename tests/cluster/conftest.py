"""The local run, with which the tests of clusters and containers compare."""

import pytest
from study import LOCAL, log, start
from tiny import Workplace, copy_narrow_project


@pytest.fixture(scope="session")
def starting_local(tmp_path_factory):
    """A local run beside the others, and its process."""
    place = copy_narrow_project(tmp_path_factory.mktemp("local"))
    process = start(place, *LOCAL)
    yield place, process
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def local(starting_local) -> Workplace:
    """The finished local run."""
    place, process = starting_local
    assert process.wait(900) == 0, log(place)[-5000:]
    return place
