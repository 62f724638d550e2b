"""The local run, with which the tests of clusters and containers compare."""

import os
from pathlib import Path

import pytest
from study import LOCAL, log, snakemake, workplace


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> Path:
    """The folder of a local run."""
    folder = workplace(tmp_path_factory.mktemp("local"))
    assert snakemake(folder, dict(os.environ), *LOCAL).wait(900) == 0, log(folder)
    return folder
