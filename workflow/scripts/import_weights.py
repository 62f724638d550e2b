"""Turn a library's weights file into framework-free weights."""

import argparse
from pathlib import Path

from twinbench import environment

if __name__ == "__main__":
    environment.enter("--backend")  # first: the imports below take most of a second

from twinbench import cli
from twinbench.backends import backend_module
from twinbench.networks import weights
from twinbench.networks.architectures import ARCHITECTURES


def main(arguments: argparse.Namespace) -> None:
    library = backend_module(arguments.backend, "weights")
    architecture = ARCHITECTURES[arguments.model]
    weights.write(arguments.output, library.read_published(arguments.library, architecture))


if __name__ == "__main__":
    cli.run(main, cli.parser(__doc__, backend=str, model=str, library=Path, output=Path))
