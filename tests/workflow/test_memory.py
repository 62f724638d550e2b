"""The jobs of one machine get no more memory than it has, and a killed job is explained."""

import re

import pytest
from helpers import resources, show_resources, with_python
from tiny import TINY
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
    show_resources(workplace, "training.smk")
    status, output = plan(workplace, "--dry-run", *ASKING, *arguments, overlay=TINY)
    assert status == 0, output
    assert set(resources(output, "train_pytorch", "mem_mb")) == {str(limit)}


def test_trainings_run_side_by_side_as_memory_allows(quick_workplace):
    place = quick_workplace
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


@pytest.mark.parametrize("program", ["exec sh -c 'kill -9 $$'", "sh -c 'kill -9 $$'"])
def test_a_killed_job_is_explained(workplace, program):
    """And no other: see test_console.py."""
    place = with_python(workplace, f"#!/bin/sh\n{program}\n")
    result = place.snakemake("--until", "generate_archive", overlay=TINY)
    assert result.returncode == 1
    assert "most often because memory ran out" in result.stdout, result.stdout


@pytest.mark.parametrize(
    ("cores", "memory", "arguments", "threads"),
    [
        (8, 100_000, (), 2),  # four trainings at once
        (9, 12_000, (), 4),  # three have memory, so two at once, twice
        (8, 4_000, (), 8),
        (3, 100_000, (), 1),
        (64, 100_000, ("--mode", "remote"), 1),  # as on the node of a cluster
    ],
)
def test_trainings_share_the_cores_in_as_few_turns_as_memory_allows(
    workplace, plan, cores, memory, arguments, threads
):
    options = ("--dry-run", "--printshellcmds", "--cores", str(cores))
    options += ("--resources", f"mem_mb={memory}", *arguments)
    status, output = plan(workplace, *options, overlay=TINY)
    assert status == 0, output
    assert set(re.findall(r"train\.py .* --threads (\d+)", output)) == {str(threads)}
