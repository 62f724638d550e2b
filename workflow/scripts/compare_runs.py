"""Compare each pair of runs: difference, interval, tests, verdict."""

from argparse import Namespace
from pathlib import Path

from twinbench import cli
from twinbench.analysis import comparisons
from twinbench.analysis.comparisons import ComparisonSettings
from twinbench.analysis.results import trained_models


def main(arguments: Namespace) -> None:
    settings: ComparisonSettings = arguments.settings
    models = trained_models(arguments.directory, settings)
    found = comparisons.compare(models, settings.equivalence_margin)
    comparisons.write(found, arguments.output)


if __name__ == "__main__":
    parser = cli.parser(__doc__, directory=Path, output=Path)
    cli.add_settings(parser, ComparisonSettings)
    cli.run(main, parser)
