"""Download a publisher's weights file, resuming a partial one, and verify its checksum."""

from pathlib import Path

from twinbench import command, download

ADVICE = "or give a local file as the run's weights, or `proxy` to go on offline"


def main(arguments):
    download.download(arguments.url, arguments.output, arguments.checksum, advice=ADVICE)


if __name__ == "__main__":
    command.run(main, command.parser(__doc__, url=str, checksum=str, output=Path))
