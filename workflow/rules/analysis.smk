# One evaluator for every framework, then statistics, figures and the report.

from twinbench.analysis.asked import study_settings

FIGURES = ("learning_curves", "accuracy", "confusion", "accuracy_time")
# What represents the study in an analysis: names and settings of the runs, not thousands of paths.
STUDY_SETTINGS = study_settings(STUDY)
REPORT = STUDY.config.report
MARGIN = {"equivalence_margin": REPORT.equivalence_margin}
TEXTS = {
    "study": STUDY.name,
    "title": REPORT.title,
    "introduction": REPORT.introduction,
}


rule evaluate_runs:
    input:
        code=code("evaluate_runs.py", environment="analysis"),
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv"),
        provenances=run_files("provenance.json"),
    output:
        report(
            f"{STUDY.folder}/metrics.csv",
            caption="../report/metrics.rst",
            category="Tables",
            labels={"table": "metrics"},
        ),
    log:
        f"{STUDY.folder}/logs/evaluate_runs.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        *settings(STUDY_SETTINGS),
    message:
        "Evaluating predictions"
    shell:
        'python {input.code[0]:q} {params:q} --directory "$(dirname {output:q})"/runs'
        " --output {output:q} --log {log:q}"


rule compare_runs:
    input:
        code=code("compare_runs.py", environment="analysis"),
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv"),
        provenances=run_files("provenance.json"),
    output:
        report(
            f"{STUDY.folder}/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Tables",
            labels={"table": "comparisons"},
        ),
    log:
        f"{STUDY.folder}/logs/compare_runs.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        *settings(STUDY_SETTINGS | MARGIN),
    message:
        "Comparing each pair of runs"
    shell:
        'python {input.code[0]:q} {params:q} --directory "$(dirname {output:q})"/runs'
        " --output {output:q} --log {log:q}"


rule plot_figures:
    input:
        code=code("plot_figures.py", environment="analysis"),
        metrics=f"{STUDY.folder}/metrics.csv",
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv"),
        provenances=run_files("provenance.json"),
    output:
        expand(f"{STUDY.folder}/figures/{{figure}}.svg", figure=FIGURES),
        **{
            figure: report(
                f"{STUDY.folder}/figures/{figure}.png",
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"figure": figure.replace("_", " ")},
            )
            for figure in FIGURES
        },
    log:
        f"{STUDY.folder}/logs/plot_figures.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        *settings(STUDY_SETTINGS | {"dpi": REPORT.figures.dpi}),
    message:
        "Plotting the figures"
    shell:
        'python {input.code[0]:q} {params:q} --directory "$(dirname {input.metrics:q})"/runs'
        ' --metrics {input.metrics:q} --figures "$(dirname {output.accuracy:q})" --log {log:q}'


rule write_report:
    input:
        **{name: f"{STUDY.folder}/figures/{name}.png" for name in FIGURES},
        code=code("write_report.py", environment="analysis"),
        template=local(str(WORKFLOW / "report" / "report.md.jinja")),
        reference=local(users_file(REPORT.reference) if REPORT.reference else []),
        metrics=f"{STUDY.folder}/metrics.csv",
        comparisons=f"{STUDY.folder}/comparisons.csv",
        # With one framework alone there is nothing to compare it with.
        suite=PARITY_TABLES[0] if len(STUDY.frameworks) > 1 else [],
        audit=PARITY_TABLES[1] if len(STUDY.frameworks) > 1 else [],
        statistics=f"{STUDY.data_folder}/statistics.json",
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv"),
        provenances=run_files("provenance.json"),
    output:
        report=report(
            f"{STUDY.folder}/report.md",
            caption="../report/report.rst",
            category="Report",
            labels={"document": "report"},
        ),
        summary=f"{STUDY.folder}/summary.txt",
    log:
        f"{STUDY.folder}/logs/write_report.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        *settings(STUDY_SETTINGS | MARGIN | TEXTS),
    message:
        "Writing the report"
    shell:
        'python {input.code[0]:q} {params:q} --directory "$(dirname {input.metrics:q})"/runs'
        " --metrics {input.metrics:q} --comparisons {input.comparisons:q} --statistics {input.statistics:q}"
        " --reference {input.reference:q} --parity {input.suite:q} --audit {input.audit:q}"
        " --template {input.template:q}"
        ' --figures "$(dirname {input.accuracy:q})" --output {output.report:q} --summary {output.summary:q}'
        " --log {log:q}"
