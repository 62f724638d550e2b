# One job a (run, seed); the two rules differ in framework and environment alone.


TRAINING_COMMAND = (
    "python {input.code[0]} --settings {params.settings:q} --seed {wildcards.seed}"
    " --threads {threads} --checkpoint-steps {resources.checkpoint_steps} --train {input.train} --validation {input.validation}"
    " --test {input.test} {params.weights} --history {output.history}"
    " --predictions {output.predictions} --provenance {output.provenance}"
    " --model {output.model} --tensorboard {output.tensorboard} --log {log}"
)


rule train_pytorch:
    input:
        code=code("train_pytorch.py", "pytorch"),
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
        run=runs_of("pytorch"),
    conda:
        "../../envs/pytorch.yaml"
    container:
        image("pytorch")
    threads: threads_of_a_training
    resources:
        mem_mb=6000,
        runtime=480,
        gpu=1,
        checkpoint_steps=0,  # no part of the experiment, so not tracked
    params:
        settings=run_settings,
        weights=lambda wildcards, input: [f"--weights {path}" for path in input.weights],
    message:
        "Training {wildcards.run}, seed {wildcards.seed}"
    shell:
        TRAINING_COMMAND


rule train_tensorflow:
    input:
        code=code("train_tensorflow.py", "tensorflow"),
        train=f"{DATA}/train.safetensors",
        validation=f"{DATA}/validation.safetensors",
        test=f"{DATA}/test.safetensors",
        weights=starting_weights,
    output:
        history=f"{RUN}/history.csv",
        predictions=f"{RUN}/predictions.parquet",
        provenance=f"{RUN}/provenance.json",
        model=f"{RUN}/model.keras",
        tensorboard=directory(f"{RUN}/tensorboard"),
    log:
        f"{RUN}/train.log",
    benchmark:
        f"{RUN}/benchmark.jsonl"
    wildcard_constraints:
        run=runs_of("tensorflow"),
    conda:
        "../../envs/tensorflow.yaml"
    container:
        image("tensorflow")
    threads: threads_of_a_training
    resources:
        mem_mb=6000,
        runtime=480,
        gpu=1,
        checkpoint_steps=0,  # no part of the experiment, so not tracked
    params:
        settings=run_settings,
        weights=lambda wildcards, input: [f"--weights {path}" for path in input.weights],
    message:
        "Training {wildcards.run}, seed {wildcards.seed}"
    shell:
        TRAINING_COMMAND
