"""Download a publisher's weights file, resuming a partial one, and verify its checksum."""

import argparse
from pathlib import Path

from twinbench import cli
from twinbench.data.download import add_download, download

ADVICE = "give a local file as the run's weights, or set weights: synthetic"


def main(arguments: argparse.Namespace) -> None:
    download(arguments.url, arguments.output, arguments.checksum, ADVICE, arguments.pauses)


if __name__ == "__main__":
    parser = cli.parser(__doc__, checksum=str, output=Path)
    add_download(parser)
    cli.run(main, parser)
