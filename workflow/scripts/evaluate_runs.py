"""Judge every run by its predictions: one table of metrics, a row a run and seed."""

import json
from argparse import Namespace
from pathlib import Path

from twinbench import command
from twinbench.analysis import metrics
from twinbench.files import written_atomically


def main(arguments: Namespace) -> None:
    table = metrics.evaluate(arguments.directory, arguments.settings)
    with written_atomically(arguments.output) as path:
        table.to_csv(path, index=False)


if __name__ == "__main__":
    command.run(main, command.parser(__doc__, directory=Path, settings=json.loads, output=Path))
