# One job for each run and seed; the backends differ in environment and in the suffix of their models.

from twinbench.backends import model_suffix

# The settings of each run; its weights and dataset are inputs, and only named here for provenance.json.
RUN_SETTINGS = {
    run: {
        "run": run,
        "framework": STUDY.framework(run),
        "model": STUDY.model(run),
        "weights.source": STUDY.weights(run).source,
        "weights.file": STUDY.weights(run).file,
        "dataset.name": Path(STUDY.data_folder).name,
        "dataset.source": STUDY.config.dataset.source,
        "training": STUDY.training(run),
    }
    for run in STUDY.runs
}


def initial_weights(wildcards):
    model, weights = STUDY.model(wildcards.run), STUDY.weights(wildcards.run)
    return (
        [framework_free_file(model, weights.weights_id)] if weights.weights_id else []
    )


for BACKEND in BACKENDS:

    rule:
        name:
            f"train_{BACKEND}"
        input:
            code=backend_code("train.py", BACKEND, "backend", "accelerator"),
            train=f"{STUDY.data_folder}/train.safetensors",
            validation=f"{STUDY.data_folder}/validation.safetensors",
            test=f"{STUDY.data_folder}/test.safetensors",
            weights=initial_weights,
        output:
            history=f"{RUN}/history.csv",
            predictions=f"{RUN}/predictions.parquet",
            provenance=f"{RUN}/provenance.json",
            model=f"{RUN}/model.{model_suffix(BACKEND)}",
            tensorboard=directory(f"{RUN}/tensorboard"),
        log:
            f"{RUN}/train.log",
        benchmark:
            f"{RUN}/benchmark.jsonl"
        wildcard_constraints:
            run=runs_of(BACKEND),
        conda:
            f"../../envs/{BACKEND}.yaml"
        container:
            image(BACKEND)
        threads: cores_for_each(len(STUDY.runs) * len(STUDY.seeds))
        resources:
            mem_mb=scaled(TRAINING_MEMORY),
            runtime=480,  # a retry goes on from the checkpoint
            gpu=1,
            # Resources, since a changed resource reruns nothing.
            checkpoint_steps=0,
            jobs_per_gpu=STUDY.config.training.jobs_per_gpu,
            resume=lambda wildcards: STUDY.resume(wildcards.run),
        params:
            *settings_by("run", RUN_SETTINGS),
        message:
            "Training {wildcards.run}, seed {wildcards.seed}"
        shell:
            "python {input.code[0]:q} {params:q} --seed {wildcards.seed} --threads {threads}"
            " --checkpoint-steps {resources.checkpoint_steps}"
            " --jobs-per-gpu {resources.jobs_per_gpu} --resume {resources.resume} --train {input.train:q}"
            " --validation {input.validation:q} --test {input.test:q} --weights {input.weights:q}"
            " --history {output.history:q} --predictions {output.predictions:q}"
            " --provenance {output.provenance:q} --model {output.model:q}"
            " --tensorboard {output.tensorboard:q} --log {log:q}"
