"""Draw the synthetic data set, as an archive in CIFAR-10's layout."""

import argparse
import json
from pathlib import Path

from twinbench import command, synthetic


def main(arguments: argparse.Namespace) -> None:
    synthetic.write_archive(arguments.output, **arguments.settings)


if __name__ == "__main__":
    command.run(main, command.parser(__doc__, settings=json.loads, output=Path))
