"""Draw the figures of a study into one folder."""

import os
from argparse import Namespace
from pathlib import Path

# Before matplotlib is imported, which ends where it cannot use what a notebook has set for itself.
os.environ["MPLBACKEND"] = "agg"

from twinbench import cli
from twinbench.analysis import plotting, study_results
from twinbench.analysis.figures import FigureData, FigureSettings, figures
from twinbench.config.reference import read_reference
from twinbench.data import splits
from twinbench.language import Language


def main(arguments: Namespace) -> None:
    settings: FigureSettings = arguments.settings
    say = Language(settings.language, arguments.catalogue)
    data = FigureData(
        results=study_results.read(
            arguments.directory, settings, arguments.metrics, arguments.comparisons
        ),
        margin=settings.equivalence_margin,
        reference=read_reference(arguments.reference) if arguments.reference else None,
        split=splits.load(arguments.split) if arguments.split else None,
    )
    for name, draw in figures(data, say).items():
        plotting.save(draw, arguments.figures / name, settings.dpi)


if __name__ == "__main__":
    parser = cli.parser(__doc__, directory=Path, metrics=Path, comparisons=Path, figures=Path)
    # Each may be left out, or stand without a value: then the study has none.
    for name, text in (
        ("--reference", "results reported elsewhere (YAML)"),
        ("--split", "test split, for pictures (safetensors)"),
        ("--catalogue", "texts in the language (.po)"),
    ):
        parser.add_argument(name, type=Path, nargs="?", help=text)
    cli.add_settings(parser, FigureSettings)
    cli.run(main, parser)
