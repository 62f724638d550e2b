"""The same results count whichever way the software is provided."""

from dataclasses import replace

import pytest
from tiny import TINY


@pytest.fixture
def with_apptainer(project, tmp_path):
    """The project with images, where a program is called apptainer; no job is run here."""
    for environment in ("pytorch", "tensorflow", "analysis"):
        image = project.folder / "images" / f"{environment}.sif"
        image.parent.mkdir(exist_ok=True)
        image.touch()
    programs = tmp_path / "containers"
    programs.mkdir()
    for name in ("apptainer", "singularity"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} version 1.4.5"\n')
        (programs / name).chmod(0o755)
    variables = project.variables | {"PATH": f"{programs}:{project.variables['PATH']}"}
    return replace(project, variables=variables)


@pytest.mark.parametrize("profile", ["default", "gpu"])
def test_a_finished_study_is_finished_in_containers_too(with_apptainer, profile):
    arguments = ("--dry-run", "--sdm", "apptainer", "--workflow-profile", f"profiles/{profile}")
    result = with_apptainer.snakemake(*arguments, overlay=TINY)
    assert result.returncode == 0, result.stdout[-3000:]
    assert "Nothing to be done" in result.stdout
