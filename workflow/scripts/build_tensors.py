"""Turn the Parquet files into tensors of the training, validation and test splits."""

import argparse
import json
from pathlib import Path

from twinbench import command, tensors
from twinbench.files import written_atomically
from twinbench.splits import save


def main(arguments: argparse.Namespace) -> None:
    splits = tensors.build(arguments.train_parquet, arguments.test_parquet, **arguments.settings)
    for name, split in splits.items():
        save(getattr(arguments, name), split)
    with written_atomically(arguments.statistics) as temporary:
        statistics = tensors.statistics(splits, **arguments.settings)
        temporary.write_text(json.dumps(statistics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    command.run(
        main,
        command.parser(
            __doc__,
            train_parquet=Path,
            test_parquet=Path,
            settings=json.loads,
            train=Path,
            validation=Path,
            test=Path,
            statistics=Path,
        ),
    )
