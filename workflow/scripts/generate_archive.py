"""Generate the synthetic images as an archive in CIFAR-10's layout."""

import argparse
from pathlib import Path

from twinbench import cli
from twinbench.data.synthetic import ArchiveSettings, write_archive


def main(arguments: argparse.Namespace) -> None:
    write_archive(arguments.output, **dict(arguments.settings))


if __name__ == "__main__":
    parser = cli.parser(__doc__, output=Path)
    cli.add_settings(parser, ArchiveSettings)
    cli.run(main, parser)
