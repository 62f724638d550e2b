"""Write the study's report in Markdown, with relative links to its figures."""

from argparse import Namespace
from pathlib import Path

from twinbench import cli
from twinbench.analysis import comparisons, metrics, tables
from twinbench.analysis.results import trained_models
from twinbench.files import written_atomically
from twinbench.parity import comparing
from twinbench.report import inputs
from twinbench.report.evidence import Evidence
from twinbench.report.inputs import ReportSettings
from twinbench.report.render import render


def main(arguments: Namespace) -> None:
    models = trained_models(arguments.directory, arguments.settings)
    class_names, confusions = metrics.confusions(models)
    evidence = Evidence(
        settings=arguments.settings,
        metrics=metrics.read(arguments.metrics, models),
        comparisons=comparisons.read(arguments.comparisons),
        models=models,
        confusions=confusions,
        class_names=class_names,
        statistics=inputs.read_statistics(arguments.statistics),
        reference=inputs.read_reference(arguments.reference) if arguments.reference else None,
        figures=inputs.figure_links(arguments.figures, arguments.output.parent),
        parity=tables.read(arguments.parity, comparing.COLUMNS) if arguments.parity else None,
        audit=tables.read(arguments.audit) if arguments.audit else None,
    )
    with written_atomically(arguments.output) as path:
        path.write_text(render(arguments.template, evidence), encoding="utf-8")


if __name__ == "__main__":
    parser = cli.parser(
        __doc__,
        directory=Path,
        metrics=Path,
        comparisons=Path,
        statistics=Path,
        template=Path,
        figures=Path,
        output=Path,
    )
    # Each may be left out, or stand without a value: then the study has none.
    for name, text in (
        ("--reference", "results reported elsewhere (YAML)"),
        ("--parity", "table of the parity suite (CSV)"),
        ("--audit", "table of the audit (CSV)"),
    ):
        parser.add_argument(name, type=Path, nargs="?", help=text)
    cli.add_settings(parser, ReportSettings)
    cli.run(main, parser)
