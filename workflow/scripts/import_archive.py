"""Verify the checksum of a local archive and copy it into the results."""

import argparse
import shutil
from pathlib import Path

from twinbench import cli
from twinbench.errors import InputError
from twinbench.files import verify_checksum, written_atomically


def main(arguments: argparse.Namespace) -> None:
    if not arguments.archive.is_file():
        raise InputError(f"{arguments.archive}: no such file; correct dataset.archive")
    with written_atomically(arguments.output) as temporary:
        shutil.copyfile(arguments.archive, temporary)
        verify_checksum(temporary, arguments.sha256, origin=str(arguments.archive))


if __name__ == "__main__":
    cli.run(main, cli.parser(__doc__, archive=Path, sha256=str, output=Path))
