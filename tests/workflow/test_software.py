"""The same results count whichever way the software is provided."""

import shutil
from dataclasses import replace

import pytest
from support import write_program
from tiny import TINY

# Instead of a job it shows what PYTHONPATH the job would have.
APPTAINER = """#!/bin/sh
[ "$1" != exec ] || { echo "PYTHONPATH is '${APPTAINERENV_PYTHONPATH-$PYTHONPATH}'"; exit 1; }
echo "apptainer version 1.4.5"
"""


@pytest.fixture
def with_apptainer(project, tmp_path):
    """The project with images, where a program is called apptainer; no job is run in it."""
    for environment in ("pytorch", "tensorflow", "analysis"):
        image = project.folder / "images" / f"{environment}.sif"
        image.parent.mkdir(exist_ok=True)
        image.touch()
    programs = write_program(tmp_path / "containers" / "apptainer", APPTAINER)
    variables = project.variables | {"PATH": f"{programs}:{project.variables['PATH']}"}
    return replace(project, variables=variables)


def test_a_finished_study_is_finished_in_containers_too(with_apptainer):
    result = with_apptainer.snakemake("--dry-run", "--sdm", "apptainer", overlay=TINY)
    assert result.returncode == 0, result.stdout[-3000:]
    assert "Nothing to be done" in result.stdout


def test_the_shells_pythonpath_does_not_reach_into_containers(with_apptainer, tmp_path):
    place = replace(
        with_apptainer, variables=with_apptainer.variables | {"PYTHONPATH": str(tmp_path)}
    )
    result = place.snakemake("--sdm", "apptainer", "--forcerun", "generate_archive", overlay=TINY)
    assert "PYTHONPATH is ''\n" in result.stdout


def test_jobs_run_without_an_activated_environment(workplace, tmp_path):
    """With no `python` on the search path they get Snakemake's own."""
    programs = tmp_path / "bare"
    programs.mkdir()
    for name in ("bash", "dirname", "sh", "which"):
        (programs / name).symlink_to(shutil.which(name))
    place = replace(workplace, variables={"PATH": str(programs)})
    result = place.snakemake("--until", "generate_archive", overlay=TINY)
    assert result.returncode == 0, result.stdout


def test_a_clone_that_is_reached_through_a_link_is_the_same_code(workplace, plan, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(workplace.folder)
    options = ("--dry-run", "--printshellcmds", "--snakefile", str(link / "Snakefile"))
    status, output = plan(workplace, *options, overlay=TINY)
    assert status == 0, output
    assert "python workflow/scripts/train.py" in output and str(link) not in output
