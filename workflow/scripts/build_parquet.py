"""Turn the archive into Parquet, one file a split."""

import argparse
import json
from pathlib import Path

from twinbench import command, dataset


def main(arguments: argparse.Namespace) -> None:
    official, folder = arguments.settings["official"], arguments.train.parent
    folder.mkdir(parents=True, exist_ok=True)
    archive = dataset.read_archive(arguments.archive, official, folder)
    for name in ("train", "test"):
        batches = getattr(archive, name)
        workers = dataset.useful_workers(sum(b.records for b in batches), arguments.threads)
        path, groups = getattr(arguments, name), dataset.groups(batches)
        dataset.write_parquet(path, name, groups, archive.class_names, workers)


if __name__ == "__main__":
    command.run(
        main,
        command.parser(
            __doc__, archive=Path, settings=json.loads, threads=int, train=Path, test=Path
        ),
    )
