"""Hold the frameworks' measurements against each other: the parity ladder and the audit."""

import logging
from argparse import Namespace
from pathlib import Path

from twinbench import command
from twinbench.analysis import audit, ladder
from twinbench.files import written_atomically

log = logging.getLogger(__name__)


def main(arguments: Namespace) -> None:
    measurements = [ladder.read(path) for path in arguments.measurements]
    rungs, settings = ladder.compare(measurements), audit.table(measurements)
    for sentence in [*ladder.findings(rungs), *audit.findings(settings)]:
        log.info("%s", sentence.replace("**", ""))
    for table, output in ((rungs, arguments.output), (settings, arguments.audit)):
        with written_atomically(output) as path:
            table.to_csv(path, index=False)


if __name__ == "__main__":
    parser = command.parser(__doc__, output=Path, audit=Path)
    parser.add_argument("--measurements", type=Path, nargs="+", required=True)
    command.run(main, parser)
