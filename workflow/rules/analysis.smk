# One evaluator for every framework, then statistics, figures and the report.

from twinbench.analysis.asked import study_settings

# What represents the study in an analysis: names and settings of the runs, not thousands of paths.
STUDY_SETTINGS = study_settings(STUDY)
REPORT = STUDY.config.report
MARGIN = {"equivalence_margin": REPORT.equivalence_margin}
LANGUAGE = {"language": REPORT.language}
CATALOGUE = (
    local(str(WORKFLOW / "report" / f"{REPORT.language}.po"))
    if REPORT.language != "en"
    else []
)
TEXTS = {
    "study": STUDY.name,
    "title": REPORT.title,
    "introduction": REPORT.introduction,
    "archive_sha256": STUDY.archive_sha256,
    "official_archive": STUDY.official_archive,
    "published": STUDY.published_checksums,
}
# With one framework alone there is nothing to compare it with.
SUITE, AUDIT = PARITY_TABLES if len(STUDY.frameworks) > 1 else ([], [])
REFERENCE = local(users_file(REPORT.reference)) if REPORT.reference else []
TRAINED = {
    "predictions": run_files("predictions.parquet"),
    "histories": run_files("history.csv"),
    "provenances": run_files("provenance.json"),
}
REPORT_FILES = ["report.html", "report.md", "settings.md"] + ["parity.md"] * bool(SUITE)


rule evaluate_runs:
    input:
        **TRAINED,
        code=code("evaluate_runs.py", environment="analysis"),
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
        **TRAINED,
        code=code("compare_runs.py", environment="analysis"),
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
        **TRAINED,
        code=code("plot_figures.py", environment="analysis"),
        metrics=f"{STUDY.folder}/metrics.csv",
        comparisons=f"{STUDY.folder}/comparisons.csv",
        reference=REFERENCE,
        catalogue=CATALOGUE,
        split=f"{STUDY.data_folder}/test.safetensors" if REPORT.pictures else [],
    output:
        # Which figures there are depends on the results.
        report(
            directory(f"{STUDY.folder}/figures"),
            patterns=["{figure}.png"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
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
        *settings(STUDY_SETTINGS | MARGIN | LANGUAGE | {"dpi": REPORT.figures.dpi}),
    message:
        "Plotting the figures"
    shell:
        'python {input.code[0]:q} {params:q} --directory "$(dirname {input.metrics:q})"/runs'
        " --metrics {input.metrics:q} --comparisons {input.comparisons:q}"
        " --reference {input.reference:q} --catalogue {input.catalogue:q} --split {input.split:q}"
        " --figures {output:q} --log {log:q}"


rule write_report:
    input:
        **TRAINED,
        code=code("write_report.py", environment="analysis"),
        templates=[
            local(str(WORKFLOW / "report" / name))
            for name in ("report.md.jinja", "page.html.jinja", "page.css", "page.js")
        ],
        catalogue=CATALOGUE,
        reference=REFERENCE,
        figures=f"{STUDY.folder}/figures",
        metrics=f"{STUDY.folder}/metrics.csv",
        comparisons=f"{STUDY.folder}/comparisons.csv",
        suite=SUITE,
        audit=AUDIT,
        statistics=f"{STUDY.data_folder}/statistics.json",
    output:
        report=report(
            f"{STUDY.folder}/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"document": "report"},
        ),
        others=[f"{STUDY.folder}/{name}" for name in REPORT_FILES[1:]],
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
        # How the study is repeated; another way to give the same settings reruns nothing.
        command=lambda wildcards: untracked_command("write_report.py", "--given", GIVEN),
    params:
        *settings(STUDY_SETTINGS | MARGIN | LANGUAGE | TEXTS),
    message:
        "Writing the report"
    shell:
        'python {resources.command} {params:q} --directory "$(dirname {input.metrics:q})"/runs'
        " --metrics {input.metrics:q} --comparisons {input.comparisons:q} --statistics {input.statistics:q}"
        " --reference {input.reference:q} --parity {input.suite:q} --audit {input.audit:q}"
        " --template {input.templates[0]:q} --catalogue {input.catalogue:q}"
        " --figures {input.figures:q} --output {output.report:q} --summary {output.summary:q}"
        " --log {log:q}"
