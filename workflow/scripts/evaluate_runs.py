"""Evaluate the predictions of every run: one table of metrics, one row per run and seed."""

from argparse import Namespace
from pathlib import Path

from twinbench import cli
from twinbench.analysis import metrics, tables
from twinbench.analysis.results import StudySettings, trained_models


def main(arguments: Namespace) -> None:
    models = trained_models(arguments.directory, arguments.settings)
    tables.write(metrics.evaluate(models), arguments.output)


if __name__ == "__main__":
    parser = cli.parser(__doc__, directory=Path, output=Path)
    cli.add_settings(parser, StudySettings)
    cli.run(main, parser)
