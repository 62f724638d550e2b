"""Snakemake in forks of one process that has imported it: a dry run takes half of the time."""

import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["pytest", "forked", "snakemake.cli", "snakemake.workflow", "pydantic"]
)


def snakemake(
    folder: Path, arguments: list[str], variables: Mapping[str, str]
) -> tuple[int | None, str]:
    """Exit status and output of Snakemake in a folder; for calls that run no jobs.

    `variables` are added to the environment.
    """
    process = _CONTEXT.Process(target=_main, args=(folder, arguments, dict(variables)))
    process.start()
    process.join()
    return process.exitcode, (folder / "output.txt").read_text()


def _main(folder: Path, arguments: list[str], variables: dict[str, str]) -> None:
    from snakemake.cli import main

    os.chdir(folder)
    os.environ.update(variables)
    with open("output.txt", "w") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    main(arguments)
