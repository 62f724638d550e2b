"""Draw the figures of a study into one folder."""

import os
from argparse import Namespace
from pathlib import Path

# Before matplotlib is imported, which ends where it cannot use what a notebook has set for itself.
os.environ["MPLBACKEND"] = "agg"

from twinbench import cli
from twinbench.analysis import metrics, plotting
from twinbench.analysis.figures import FigureSettings, figures
from twinbench.analysis.results import histories, trained_models


def main(arguments: Namespace) -> None:
    settings: FigureSettings = arguments.settings
    models = trained_models(arguments.directory, settings)
    class_names, confusions = metrics.confusions(models)
    table = metrics.read(arguments.metrics, models)
    for name, draw in figures(table, histories(models), confusions, class_names).items():
        plotting.save(draw, arguments.figures / name, settings.dpi)


if __name__ == "__main__":
    parser = cli.parser(__doc__, directory=Path, metrics=Path, figures=Path)
    cli.add_settings(parser, FigureSettings)
    cli.run(main, parser)
