"""Write the images that the study uses as Parquet, one file for training and one for testing."""

import argparse
from pathlib import Path

import numpy as np
from twinbench import cli
from twinbench.data.archive import read_archive
from twinbench.data.parquet import write_parquet
from twinbench.data.selection import SelectionSettings, select


def main(arguments: argparse.Namespace) -> None:
    archive = read_archive(arguments.archive)
    selected = select(archive, arguments.settings)
    train_ids = np.union1d(selected["train"].sample_ids, selected["validation"].sample_ids)
    parts = {"train": archive.train.take(train_ids), "test": selected["test"]}
    for name, samples in parts.items():
        path = getattr(arguments, name)
        write_parquet(path, name, samples, archive.class_names)


if __name__ == "__main__":
    parser = cli.parser(__doc__, archive=Path, train=Path, test=Path)
    cli.add_settings(parser, SelectionSettings)
    cli.run(main, parser)
