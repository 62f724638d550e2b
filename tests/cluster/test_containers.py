"""The study in containers, alone and on Slurm: the bits of a run outside."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from slurm import missing_programs, running_slurm
from study import LOCAL, SLURM, log, start
from support import ROOT
from tiny import Workplace, copy_narrow_project, differences

pytestmark = pytest.mark.containers

CONTAINERS = ("--sdm", "apptainer")


def hostile_pythonpath(folder: Path) -> dict[str, str]:
    """A PYTHONPATH whose safetensors, which jobs need and Snakemake does not, is none."""
    (folder / "safetensors.py").write_text('raise SystemExit("of the shell\'s PYTHONPATH")\n')
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module", params=["alone", "on Slurm"])
def contained(request, tmp_path_factory) -> Workplace:
    """A finished run in containers."""
    if shutil.which("apptainer") is None:
        pytest.fail("apptainer is not installed here: see apptainer.org")
    place = copy_narrow_project(tmp_path_factory.mktemp("contained"))
    place = replace(place, variables=hostile_pythonpath(tmp_path_factory.mktemp("python")))
    if request.param == "alone":
        status = start(place, *LOCAL, *CONTAINERS).wait(1800)
    elif missing_programs():
        pytest.skip("Slurm is not installed here: apt-get install slurm-wlm munge, or the like")
    else:
        with running_slurm(tmp_path_factory.mktemp("slurm")) as slurm:
            arguments = (*SLURM, *CONTAINERS, "--slurm-keep-successful-logs")
            variables = place.variables | slurm.variables
            status = start(replace(place, variables=variables), *arguments).wait(1800)
    assert status == 0, log(place)[-5000:]
    return place


def test_the_results_are_those_of_the_run_outside_bit_for_bit(contained, local):
    assert differences(contained.results / "tiny", local.results / "tiny") == []


def test_every_job_ran_in_its_image(contained):
    messages = log(contained)
    messages += "".join(p.read_text() for p in contained.results.glob("logs/slurm/**/*.log"))
    for environment in ("pytorch", "tensorflow", "analysis"):
        assert f"Activating singularity image {ROOT / 'images' / environment}.sif" in messages


def test_jobs_leave_nothing_beside_the_results(contained, local):
    """Libraries' caches, for example: the working directory is the home of jobs in containers."""
    assert names(contained) == names(local)


def names(place: Workplace) -> set[str]:
    return {path.name for path in place.folder.iterdir()}
