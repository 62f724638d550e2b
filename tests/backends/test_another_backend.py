"""A backend is added by new files alone: a config block brings it into the study."""

import shutil

from support import ROOT
from tiny import TINY, copy_project

from workflow import forked

ADDED = ROOT / "tests" / "another_backend"


def test_a_config_block_brings_another_backend_into_the_study(tmp_path):
    place = copy_project(tmp_path / "project")
    for path in ADDED.rglob("*"):
        target = place.folder / path.relative_to(ADDED)
        assert path.is_dir() or not target.exists(), f"{target} would be changed"
    shutil.copytree(ADDED, place.folder, dirs_exist_ok=True)
    run = {"framework": "numpy_only", "model": "alexnet32", "weights": "none"}
    # NumPy cannot build the networks of the pretrained runs.
    runs = {"pytorch-pretrained": None, "tensorflow-pretrained": None, "numpy-scratch": run}
    arguments = place.arguments("--dry-run", overlay=TINY | {"runs": runs})
    status, output = forked.snakemake(place.folder, arguments, place.variables)
    assert status == 0, output[-3000:]
    jobs = dict(line.split() for line in output.splitlines() if len(line.split()) == 2)
    for framework in ("numpy_only", "pytorch", "tensorflow"):
        assert jobs[f"train_{framework}"] == jobs[f"measure_{framework}"] == "1", framework
