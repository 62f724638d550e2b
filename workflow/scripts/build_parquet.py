"""Turn the archive into Parquet, one file a split."""

import argparse
import json
from pathlib import Path

from twinbench import command, dataset


def main(arguments: argparse.Namespace) -> None:
    archive = dataset.read_archive(arguments.archive, arguments.settings["official"])
    dataset.write_parquet(arguments.train, "train", archive.train, archive.class_names)
    dataset.write_parquet(arguments.test, "test", archive.test, archive.class_names)


if __name__ == "__main__":
    command.run(
        main, command.parser(__doc__, archive=Path, settings=json.loads, train=Path, test=Path)
    )
