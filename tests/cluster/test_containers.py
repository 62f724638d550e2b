"""The study in containers, alone and on Slurm: the bits of a run outside."""

import os
import shutil
from pathlib import Path

import pytest
from slurm import missing_programs, running_slurm
from study import LOCAL, RUNS, SLURM, log, outcome, run_folder, snakemake, tables, workplace
from support import ROOT

pytestmark = pytest.mark.containers

# The workflow lies outside the folder in which it runs, which is all that a container sees by itself.
CONTAINERS = ("--sdm", "apptainer", "--apptainer-args", f"--bind {ROOT}")


@pytest.fixture(scope="module", params=["alone", "on Slurm"])
def contained(request, tmp_path_factory) -> Path:
    """The folder of a run in containers."""
    if shutil.which("apptainer") is None:
        pytest.fail("apptainer is not installed here: see apptainer.org")
    folder = workplace(tmp_path_factory.mktemp("contained"))
    if request.param == "alone":
        finished = snakemake(folder, dict(os.environ), *LOCAL, *CONTAINERS).wait(1800)
    elif missing_programs():
        pytest.skip("Slurm is not installed here: apt-get install slurm-wlm munge, or the like")
    else:
        with running_slurm(tmp_path_factory.mktemp("slurm")) as slurm:
            arguments = (*SLURM, *CONTAINERS, "--slurm-keep-successful-logs")
            finished = snakemake(folder, slurm.environment, *arguments).wait(1800)
    assert finished == 0, log(folder)
    return folder


@pytest.mark.parametrize("run", RUNS)
def test_a_runs_outcome_is_that_of_the_run_outside_bit_for_bit(contained, local, run):
    assert outcome(run_folder(contained, run)) == outcome(run_folder(local, run))


def test_the_tables_are_those_of_the_run_outside(contained, local):
    assert tables(contained) == tables(local)


def test_every_job_ran_in_its_image(contained):
    told = (contained / "snakemake.log").read_text()
    told += "".join(path.read_text() for path in contained.glob("results/logs/slurm/**/*.log"))
    for environment in ("pytorch", "tensorflow", "analysis"):
        assert f"Activating singularity image {ROOT / 'images' / environment}.sif" in told
