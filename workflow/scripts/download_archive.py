"""Download CIFAR-10's binary archive and verify its checksum."""

import argparse
from pathlib import Path

from twinbench import cli
from twinbench.data.download import add_download, download

ADVICE = "give a local file as dataset.archive, or set dataset.source: synthetic"


def main(arguments: argparse.Namespace) -> None:
    download(arguments.url, arguments.output, arguments.sha256, ADVICE, arguments.pauses)


if __name__ == "__main__":
    parser = cli.parser(__doc__, sha256=str, output=Path)
    add_download(parser)
    cli.run(main, parser)
