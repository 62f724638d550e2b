"""Write the study's report: as one HTML page, in Markdown with its appendices, and in a few lines of text."""

import os
from argparse import Namespace
from pathlib import Path

from twinbench import cli
from twinbench.analysis import study_results, tables
from twinbench.config.reference import read_reference
from twinbench.files import written_atomically
from twinbench.language import Language
from twinbench.parity import comparing
from twinbench.report import inputs, render
from twinbench.report.contents import report
from twinbench.report.evidence import Evidence
from twinbench.report.inputs import Given, ReportSettings
from twinbench.report.summary import summary


def main(arguments: Namespace) -> None:
    settings: ReportSettings = arguments.settings
    say = Language(settings.language, arguments.catalogue)
    evidence = Evidence(
        say=say,
        settings=settings,
        given=arguments.given,
        results=study_results.read(
            arguments.directory, settings, arguments.metrics, arguments.comparisons
        ),
        statistics=inputs.read_statistics(arguments.statistics),
        reference=read_reference(arguments.reference) if arguments.reference else None,
        parity=tables.read(arguments.parity, comparing.COLUMNS) if arguments.parity else None,
        audit=tables.read(arguments.audit) if arguments.audit else None,
        figures=sorted(path.stem for path in arguments.figures.glob("*.png")),
    )
    written = report(evidence)
    folder, templates = arguments.output.parent, arguments.template.parent
    links = Path(os.path.relpath(arguments.figures, folder)).as_posix()
    data = [arguments.metrics, arguments.comparisons, arguments.parity, arguments.audit]
    texts = {
        f"{part.name}.md": render.appendix(part, templates, links) for part in written.appendices
    }
    texts["report.html"] = render.page(
        written, templates, arguments.figures, [path for path in data if path], say
    )
    texts["report.md"] = render.markdown(written, templates, links)
    texts[arguments.summary.name] = summary(written, arguments.output, say)
    for name, text in texts.items():
        with written_atomically(folder / name) as path:
            path.write_text(text, encoding="utf-8")


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
        summary=Path,
    )
    # Each may be left out, or stand without a value: then the study has none.
    for name, text in (
        ("--reference", "results reported elsewhere (YAML)"),
        ("--parity", "table of the parity suite (CSV)"),
        ("--audit", "table of the audit (CSV)"),
        ("--catalogue", "texts in the report's language (.po), where it is not English"),
    ):
        parser.add_argument(name, type=Path, nargs="?", help=text)
    parser.add_argument(
        "--given",
        type=Given.model_validate_json,
        default=Given(),
        help="what Snakemake got besides config/config.yaml, as JSON",
    )
    cli.add_settings(parser, ReportSettings)
    cli.run(main, parser)
