"""Write the images that the study uses as tensors, a file each for training, validation and test."""

import argparse
from pathlib import Path

from twinbench import cli
from twinbench.data.archive import read_archive
from twinbench.data.selection import SelectionSettings
from twinbench.data.splits import save
from twinbench.data.tensors import build_splits


def main(arguments: argparse.Namespace) -> None:
    archive = read_archive(arguments.archive)
    for name, split in build_splits(archive, arguments.settings).items():
        save(getattr(arguments, name), split)


if __name__ == "__main__":
    parser = cli.parser(__doc__, archive=Path, train=Path, validation=Path, test=Path)
    cli.add_settings(parser, SelectionSettings)
    cli.run(main, parser)
