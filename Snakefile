# Scratch or pretrained, PyTorch or TensorFlow, and is the difference real?
#
# archive -> Parquet -> tensors -> runs (framework, net, weights, seed) -> predictions
#         -> metrics -> comparisons -> figures -> report

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/analysis.smk"


rule all:
    default_target: True
    input:
        f"{STUDY}/report.md",
        f"{STUDY}/metrics.csv",
        f"{STUDY}/comparisons.csv",
        expand(f"{STUDY}/figures/{{figure}}.png", figure=FIGURES),


onsuccess:
    warn_of_the_clock()


onerror:
    warn_of_the_clock()
