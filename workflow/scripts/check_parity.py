"""Compare what the frameworks measured of themselves: the parity suite and the audit."""

import logging
from argparse import Namespace
from pathlib import Path

from twinbench import cli
from twinbench.analysis import tables
from twinbench.language import Language
from twinbench.parity import audit, comparing

log = logging.getLogger("twinbench")


def main(arguments: Namespace) -> None:
    measurements = [comparing.read(path) for path in arguments.measurements]
    checks, settings = comparing.compare(measurements), audit.table(measurements)
    say = Language()
    for finding in [*comparing.findings(checks, say), audit.finding(settings, say)]:
        log.info("%s", finding.text)
    tables.write(checks, arguments.output)
    tables.write(settings, arguments.audit)


if __name__ == "__main__":
    parser = cli.parser(__doc__, output=Path, audit=Path)
    parser.add_argument(
        "--measurements", type=Path, nargs="+", required=True, help="one file per framework"
    )
    cli.run(main, parser)
