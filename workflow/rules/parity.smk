# Do the frameworks do the same? Each measures itself, in its own environment; then they are compared.


PARITY_QUANTITIES = {
    framework: f"{STUDY}/parity/{framework}.safetensors"
    for framework in CONFIGURATION.frameworks
}
# All evaluate the weights that the first framework trains.
TRAINED = f"{STUDY}/parity/trained.safetensors"

for FRAMEWORK in PARITY_QUANTITIES:
    FIRST = FRAMEWORK == CONFIGURATION.frameworks[0]

    rule:
        name:
            f"measure_{FRAMEWORK}"
        input:
            **({} if FIRST else {"trained": TRAINED}),
            code=code(f"measure_{FRAMEWORK}.py", FRAMEWORK),
            train=f"{DATA}/train.safetensors",
            validation=f"{DATA}/validation.safetensors",
            weights=weights_of_twins,
            official=official_files_of_twins,
        output:
            **({"trained": TRAINED} if FIRST else {}),
            quantities=PARITY_QUANTITIES[FRAMEWORK],
        log:
            f"{STUDY}/logs/measure_{FRAMEWORK}.log",
        priority: 1  # these wait for each other, so they start early
        conda:
            f"../../envs/{FRAMEWORK}.yaml"
        container:
            image(FRAMEWORK)
        threads: 1
        resources:
            mem_mb=6000,
            runtime=60,
            gpu=1,
        params:
            settings=canonical(
                {"seed": CONFIGURATION.seeds[0], "twins": CONFIGURATION.twins()}
            ),
            exchange=lambda wildcards, input, output: (
                f"--trained {input.trained}"
                if "trained" in input.keys()
                else f"--trained-output {output.trained}"
            ),
        message:
            f"Measuring {FRAMEWORK} for the parity of the twins"
        shell:
            "python {input.code[0]} --settings {params.settings:q} --threads {threads}"
            " --train {input.train} --validation {input.validation}"
            " --weights {input.weights} --official {input.official:q} {params.exchange}"
            " --output {output.quantities} --log {log}"


rule check_parity:
    input:
        code=code("check_parity.py", "analysis"),
        measurements=list(PARITY_QUANTITIES.values()),
    output:
        ladder=report(
            PARITY_LADDER,
            caption="../report/parity.rst",
            category="Tables",
            labels={"table": "parity of the twins"},
        ),
        audit=report(
            PARITY_AUDIT,
            caption="../report/parity_audit.rst",
            category="Tables",
            labels={"table": "audit of the twins"},
        ),
    log:
        f"{STUDY}/logs/check_parity.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=2000,
        runtime=15,
    message:
        "Comparing what the frameworks measured"
    shell:
        "python {input.code[0]} --measurements {input.measurements}"
        " --output {output.ladder} --audit {output.audit} --log {log}"
