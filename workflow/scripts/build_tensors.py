"""Write the images that the study uses as tensors, a file each for training, validation and test."""

import argparse
import json
from pathlib import Path

from twinbench import cli
from twinbench.data.archive import read_archive
from twinbench.data.selection import SelectionSettings
from twinbench.data.splits import save
from twinbench.data.tensors import build_splits
from twinbench.files import written_atomically


def main(arguments: argparse.Namespace) -> None:
    archive = read_archive(arguments.archive, arguments.settings.official)
    splits, summary = build_splits(archive, arguments.settings)
    for name, split in splits.items():
        save(getattr(arguments, name), split)
    with written_atomically(arguments.statistics) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = cli.parser(
        __doc__, archive=Path, train=Path, validation=Path, test=Path, statistics=Path
    )
    cli.add_settings(parser, SelectionSettings)
    cli.run(main, parser)
