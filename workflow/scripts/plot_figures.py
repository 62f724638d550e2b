"""Draw the figures of a study into one folder."""

import json
from argparse import Namespace
from pathlib import Path

import pandas as pd
from twinbench import command
from twinbench.analysis import figures, metrics, study


def main(arguments: Namespace) -> None:
    jobs = study.jobs(arguments.directory, arguments.settings)
    class_names, confusions = metrics.confusions(jobs)
    drawings = figures.draw_all(
        metrics=pd.read_csv(arguments.metrics),
        histories=study.histories(jobs),
        confusions=confusions,
        class_names=class_names,
    )
    for name, draw in drawings.items():
        figures.save(draw, arguments.figures / name, arguments.settings["style"])


if __name__ == "__main__":
    command.run(
        main,
        command.parser(__doc__, directory=Path, settings=json.loads, metrics=Path, figures=Path),
    )
