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
        groups = dataset.groups(getattr(archive, name))
        dataset.write_parquet(getattr(arguments, name), name, groups, archive.class_names)


if __name__ == "__main__":
    command.run(
        main, command.parser(__doc__, archive=Path, settings=json.loads, train=Path, test=Path)
    )
