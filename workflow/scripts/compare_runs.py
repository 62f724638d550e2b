"""Compare each pair of runs: difference, interval, tests, verdict."""

import json
from argparse import Namespace
from pathlib import Path

from twinbench import command
from twinbench.analysis import statistics
from twinbench.files import written_atomically


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    table = statistics.compare(arguments.directory, settings, settings["equivalence_margin"])
    with written_atomically(arguments.output) as path:
        table.to_csv(path, index=False)


if __name__ == "__main__":
    command.run(main, command.parser(__doc__, directory=Path, settings=json.loads, output=Path))
