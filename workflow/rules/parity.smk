# Do the frameworks do the same? Each backend measures itself in its own environment; then the measurements
# are compared.

from twinbench.parity.cases import parity_settings

PARITY_SETTINGS = parity_settings(STUDY)
PRETRAINED_CASES = [
    case for case in PARITY_SETTINGS.cases.values() if case.weights_id is not None
]
MEASUREMENTS = {
    backend: f"{STUDY.folder}/parity/{backend}.safetensors"
    for backend in STUDY.frameworks
}
PARITY_TABLES = [f"{STUDY.folder}/parity.csv", f"{STUDY.folder}/parity-audit.csv"]

# A loop's variable has its last value when a command runs, so what differs stands in the params.
for BACKEND in MEASUREMENTS:

    rule:
        name:
            f"measure_{BACKEND}"
        input:
            code=backend_code("measure_parity.py", BACKEND, "parity", "accelerator"),
            train=f"{STUDY.data_folder}/train.safetensors",
            validation=f"{STUDY.data_folder}/validation.safetensors",
            weights=[
                framework_free_file(case.model, case.weights_id)
                for case in PRETRAINED_CASES
            ],
            library=[
                library_file(case.model, case.weights_id) for case in PRETRAINED_CASES
            ],
        output:
            quantities=MEASUREMENTS[BACKEND],
        log:
            f"{STUDY.folder}/logs/measure_{BACKEND}.log",
        priority: 1  # they take longest in a short study, so they start early
        conda:
            f"../../envs/{BACKEND}.yaml"
        container:
            image(BACKEND)
        threads: 1
        resources:
            mem_mb=scaled(7500),  # measured with the default study's three networks: 6.7 GB in Keras, 3.8 GB in PyTorch
            runtime=scaled(60),
            gpu=1,
            # A resource, since a changed resource reruns nothing.
            jobs_per_gpu=STUDY.config.training.jobs_per_gpu,
        params:
            *settings(PARITY_SETTINGS),
            f"--backend={BACKEND}",
        message:
            f"Measuring the parity checks in {BACKEND}"
        shell:
            "python {input.code[0]:q} {params:q} --threads {threads}"
            " --jobs-per-gpu {resources.jobs_per_gpu}"
            " --train {input.train:q} --validation {input.validation:q}"
            " --weights {input.weights:q} --library {input.library:q}"
            " --output {output.quantities:q} --log {log:q}"


rule check_parity:
    input:
        code=code("check_parity.py", environment="analysis"),
        measurements=list(MEASUREMENTS.values()),
    output:
        suite=report(
            PARITY_TABLES[0],
            caption="../report/parity.rst",
            category="Tables",
            labels={"table": "parity of the twins"},
        ),
        audit=report(
            PARITY_TABLES[1],
            caption="../report/parity_audit.rst",
            category="Tables",
            labels={"table": "audit of the twins"},
        ),
    log:
        f"{STUDY.folder}/logs/check_parity.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    message:
        "Checking that the frameworks run the same experiment"
    shell:
        "python {input.code[0]:q} --measurements {input.measurements:q}"
        " --output {output.suite:q} --audit {output.audit:q} --log {log:q}"
