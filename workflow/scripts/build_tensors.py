"""Turn the Parquet files into tensors of the training, validation and test splits."""

import argparse
import json
from pathlib import Path

from twinbench import command, tensors
from twinbench.files import written_atomically


def main(arguments: argparse.Namespace) -> None:
    outputs = {name: getattr(arguments, name) for name in ("train", "validation", "test")}
    statistics = tensors.build(
        arguments.train_parquet,
        arguments.test_parquet,
        outputs,
        workers=arguments.threads,
        **arguments.settings,
    )
    with written_atomically(arguments.statistics) as temporary:
        temporary.write_text(json.dumps(statistics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    command.run(
        main,
        command.parser(
            __doc__,
            train_parquet=Path,
            test_parquet=Path,
            settings=json.loads,
            threads=int,
            train=Path,
            validation=Path,
            test=Path,
            statistics=Path,
        ),
    )
