"""Write the study's report in Markdown, with relative links to its figures."""

import json
from argparse import Namespace
from pathlib import Path

import pandas as pd
from twinbench import command
from twinbench.analysis import metrics, report, study
from twinbench.files import written_atomically


def main(arguments: Namespace) -> None:
    jobs = study.jobs(arguments.directory, arguments.settings)
    class_names, confusions = metrics.confusions(jobs)
    evidence = report.Evidence(
        settings=arguments.settings,
        metrics=pd.read_csv(arguments.metrics),
        comparisons=pd.read_csv(arguments.comparisons),
        jobs=jobs,
        confusions=confusions,
        class_names=class_names,
        statistics=report.read_statistics(arguments.statistics),
        reference=report.read_reference(arguments.reference),
        figures=report.figure_links(arguments.figures, arguments.output.parent),
        parity=pd.read_csv(arguments.parity) if arguments.parity else None,
        audit=pd.read_csv(arguments.audit, keep_default_na=False) if arguments.audit else None,
    )
    with written_atomically(arguments.output) as path:
        path.write_text(report.render(arguments.template, evidence), encoding="utf-8")


if __name__ == "__main__":
    parser = command.parser(
        __doc__,
        directory=Path,
        settings=json.loads,
        metrics=Path,
        comparisons=Path,
        statistics=Path,
        template=Path,
        figures=Path,
        output=Path,
    )
    parser.add_argument("--reference", type=Path, help="figures that were reported (YAML)")
    parser.add_argument("--parity", type=Path, help="table of the parity ladder (CSV)")
    parser.add_argument("--audit", type=Path, help="table of the audit of the twins (CSV)")
    command.run(main, parser)
