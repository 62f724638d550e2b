"""Write what the tensors of training, validation and test hold: images by class, channel statistics."""

import argparse
import json
from pathlib import Path

from twinbench import cli
from twinbench.data.description import describe
from twinbench.data.selection import SelectionSettings
from twinbench.data.splits import load
from twinbench.files import written_atomically


def main(arguments: argparse.Namespace) -> None:
    splits = {name: load(getattr(arguments, name)) for name in ("train", "validation", "test")}
    summary = describe(splits, arguments.settings)
    with written_atomically(arguments.output) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = cli.parser(__doc__, train=Path, validation=Path, test=Path, output=Path)
    cli.add_settings(parser, SelectionSettings)
    cli.run(main, parser)
