"""The jobs of one machine get no more memory than it has, and a killed job is explained."""

import re
from dataclasses import replace

import pytest
from tiny import TINY, search_path
from twinbench.machine import memory_mb

MORE_THAN_ANY = 10**9  # MB
ASKING = ("--set-resources", f"train_pytorch:mem_mb={MORE_THAN_ANY}")


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        ((), memory_mb()),
        (("--resources", "gpu=4"), memory_mb()),
        (("--resources", "mem_mb=5000"), 5000),
        (("--resources", "mem=5GB", "gpu=4"), 5000),
        (("--profile", "profiles/slurm"), MORE_THAN_ANY),
    ],
)
def test_a_job_that_asks_for_more_than_there_is_gets_what_there_is(
    workplace, plan, arguments, limit
):
    rules = workplace.folder / "workflow/rules/training.smk"
    text = re.sub(r" +message:\n.*\n", "", rules.read_text(encoding="utf-8"))
    rules.write_text(text, encoding="utf-8")  # Snakemake prints resources in a message's place
    status, output = plan(workplace, "--dry-run", *ASKING, *arguments, overlay=TINY)
    assert status == 0, output
    asked = re.findall(r"rule train_pytorch:\n(?:    .*\n)*?.*\bmem_mb=(\d+)", output)
    assert set(asked) == {str(limit)}


def test_trainings_run_side_by_side_as_memory_allows(workplace, stand_in_variables):
    place = replace(workplace, variables=stand_in_variables)
    seeds = {**TINY, "seeds": [1, 2, 3, 4]}
    runs = [f"results/tiny/runs/pytorch-scratch/seed-{seed}/history.csv" for seed in (1, 2, 3, 4)]
    assert place.snakemake("--until", "build_tensors", overlay=seeds).returncode == 0
    share = f"train_pytorch:mem_mb={memory_mb() * 2 // 5}"
    result = place.snakemake(*runs, "--cores", "8", "--set-resources", share, overlay=seeds)
    assert result.returncode == 0, result.stdout
    assert max(map(int, re.findall(r"Execute (\d+) jobs", result.stdout))) == 2


def test_little_memory_is_mentioned(workplace, plan):
    _, output = plan(workplace, "--dry-run", "--resources", "mem_mb=1000", overlay=TINY)
    assert "There are 1000 MB of memory" in output and "batch_size" in output
    _, output = plan(workplace, "--dry-run", "--resources", "mem_mb=100000", overlay=TINY)
    assert "MB of memory" not in output


@pytest.mark.parametrize(
    ("program", "explained"),
    [("exec sh -c 'kill -9 $$'", True), ("sh -c 'kill -9 $$'", True), ("exit 1", False)],
)
def test_a_killed_job_is_explained(workplace, tmp_path, program, explained):
    path = tmp_path / "programs" / "python"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
    path.chmod(0o755)
    place = replace(workplace, variables={"PATH": search_path(path.parent)})
    result = place.snakemake("--until", "generate_archive", overlay=TINY)
    assert result.returncode == 1
    assert ("most often because memory ran out" in result.stdout) == explained, result.stdout
