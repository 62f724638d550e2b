# One evaluator for every framework, then statistics, figures and the report.

FIGURES = ("learning_curves", "accuracy", "confusion", "accuracy_time")
# What stands for the study in an analysis: names and facts of the runs, not thousands of paths.
STUDY_SETTINGS = {
    "runs": {
        run: {
            "framework": CONFIGURATION.framework(run),
            "model": CONFIGURATION.model(run),
            "weights": CONFIGURATION.weights(run).source,
        }
        for run in CONFIGURATION.runs
    },
    "seeds": CONFIGURATION.seeds,
}


rule evaluate_runs:
    input:
        code=code("evaluate_runs.py", "analysis"),
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv"),
        provenances=run_files("provenance.json"),
    output:
        report(
            f"{STUDY}/metrics.csv",
            caption="../report/metrics.rst",
            category="Tables",
            labels={"table": "metrics"},
        ),
    log:
        f"{STUDY}/logs/evaluate_runs.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        settings=canonical(STUDY_SETTINGS),
        directory=runs_directory,
    message:
        "Judging every run by its predictions"
    shell:
        "python {input.code[0]} --directory {params.directory} --settings {params.settings:q}"
        " --output {output} --log {log}"


rule compare_runs:
    input:
        code=code("compare_runs.py", "analysis"),
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv"),
        provenances=run_files("provenance.json"),
    output:
        report(
            f"{STUDY}/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Tables",
            labels={"table": "comparisons"},
        ),
    log:
        f"{STUDY}/logs/compare_runs.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        settings=canonical(
            STUDY_SETTINGS
            | {"equivalence_margin": CONFIGURATION.report["equivalence_margin"]}
        ),
        directory=runs_directory,
    message:
        "Comparing each pair of runs"
    shell:
        "python {input.code[0]} --directory {params.directory} --settings {params.settings:q}"
        " --output {output} --log {log}"


rule plot_figures:
    input:
        code=code("plot_figures.py", "analysis"),
        metrics=f"{STUDY}/metrics.csv",
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv"),
        provenances=run_files("provenance.json"),
    output:
        expand(f"{STUDY}/figures/{{figure}}.svg", figure=FIGURES),
        **{
            figure: report(
                f"{STUDY}/figures/{figure}.png",
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"figure": figure.replace("_", " ")},
            )
            for figure in FIGURES
        },
    log:
        f"{STUDY}/logs/plot_figures.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        settings=canonical(
            STUDY_SETTINGS
            | {"style": {"format": ["png", "svg"], **CONFIGURATION.report["figures"]}}
        ),
        directory=runs_directory,
        figures=lambda wildcards, output: str(Path(output[0]).parent),
    message:
        "Drawing the figures"
    shell:
        "python {input.code[0]} --directory {params.directory} --settings {params.settings:q}"
        " --metrics {input.metrics} --figures {params.figures} --log {log}"


rule write_report:
    input:
        code=code("write_report.py", "analysis"),
        template=local(str(WORKFLOW / "report" / "report.md.jinja")),
        reference=local(CONFIGURATION.report["reference"] or []),
        metrics=f"{STUDY}/metrics.csv",
        comparisons=f"{STUDY}/comparisons.csv",
        # With one framework alone there is nothing to hold against it.
        parity=(
            [PARITY_LADDER, PARITY_AUDIT] if len(CONFIGURATION.frameworks) > 1 else []
        ),
        statistics=f"{DATA}/statistics.json",
        figures=expand(f"{STUDY}/figures/{{figure}}.png", figure=FIGURES),
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv"),
        provenances=run_files("provenance.json"),
    output:
        report(
            f"{STUDY}/report.md",
            caption="../report/report.rst",
            category="Report",
            labels={"document": "report"},
        ),
    log:
        f"{STUDY}/logs/write_report.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        settings=canonical(
            STUDY_SETTINGS
            | {
                "study": CONFIGURATION.study,
                "title": CONFIGURATION.report["title"],
                "introduction": CONFIGURATION.report["introduction"],
                "equivalence_margin": CONFIGURATION.report["equivalence_margin"],
            }
        ),
        directory=runs_directory,
        figures=lambda wildcards, input: str(Path(input.figures[0]).parent),
        reference=lambda wildcards, input: (
            f"--reference {input.reference}" if input.reference else ""
        ),
        parity=parity_options,
    message:
        "Writing the report"
    shell:
        "python {input.code[0]} --directory {params.directory} --settings {params.settings:q}"
        " --metrics {input.metrics} --comparisons {input.comparisons}"
        " --statistics {input.statistics} {params.reference} {params.parity} --template {input.template}"
        " --figures {params.figures} --output {output} --log {log}"
