# Training with any other framework that the package has a folder for: docs/another-arm.md.

for FRAMEWORK in sorted({*CONFIGURATION.frameworks} - {"pytorch", "tensorflow"}):

    rule:
        name:
            f"train_{FRAMEWORK}"
        input:
            code=code(f"train_{FRAMEWORK}.py", FRAMEWORK),
            train=f"{DATA}/train.safetensors",
            validation=f"{DATA}/validation.safetensors",
            test=f"{DATA}/test.safetensors",
            weights=starting_weights,
        output:
            history=f"{RUN}/history.csv",
            predictions=f"{RUN}/predictions.parquet",
            provenance=f"{RUN}/provenance.json",
            model=f"{RUN}/model.safetensors",
            tensorboard=directory(f"{RUN}/tensorboard"),
        log:
            f"{RUN}/train.log",
        benchmark:
            f"{RUN}/benchmark.jsonl"
        wildcard_constraints:
            run=runs_of(FRAMEWORK),
        conda:
            f"../../envs/{FRAMEWORK}.yaml"
        container:
            image(FRAMEWORK)
        threads: threads_of_a_training
        resources:
            mem_mb=6000,
            runtime=480,
            gpu=1,
            checkpoint_steps=0,  # no part of the experiment, so not tracked
        params:
            settings=run_settings,
            weights=lambda wildcards, input: [
                f"--weights {path}" for path in input.weights
            ],
        message:
            "Training {wildcards.run}, seed {wildcards.seed}"
        shell:
            TRAINING_COMMAND
