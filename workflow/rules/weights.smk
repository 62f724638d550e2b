# Pretrained weights: the publisher's file, the user's own, or synthetic ones, each in the library's format,
# and from that the framework-free weights with which either framework starts.


# The backends whose libraries publish weights, which read and write these files, and of which networks.
PUBLISHED = {}
for MODEL, NETWORK in ARCHITECTURES.items():
    if NETWORK.published:
        PUBLISHED.setdefault(NETWORK.published.backend, []).append(MODEL)
SYNTHETIC = STUDY.config.weights.synthetic
PRETRAINED_HERE = {
    STUDY.model(run) for run in STUDY.runs if STUDY.weights(run).source == "synthetic"
}
# By network: the seed and images of its pretraining, and its training settings.
PRETRAINING = {
    model: {
        "model": model,
        "images": SYNTHETIC.images,
        "seed": SYNTHETIC.seed,
        "training": STUDY.pretraining(model),
    }
    for model in sorted(PRETRAINED_HERE)
}


wildcard_constraints:
    weights_id=r"[a-z0-9-]+",
    digest="[0-9a-f]{8}",
    suffix="[a-z0-9]+",


rule download_weights:
    output:
        "results/weights/library/{model}-imagenet.{suffix}",
    log:
        "results/weights/logs/download_weights-{model}.{suffix}.log",
    retries: 0  # the script tries again where that may help
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        command=lambda wildcards: untracked_command(
            "download_weights.py", "--url", *STUDY.published_file(wildcards.model).url
        ),
    params:
        checksum=lambda wildcards: STUDY.published_file(wildcards.model).checksum,
    message:
        "Downloading ImageNet weights of {wildcards.model}"
    shell:
        "python {resources.command} --checksum {params.checksum} --output {output:q} --log {log:q}"


# A loop's variable has its last value when a command runs, so what differs stands in the params.
for BACKEND, MODELS in PUBLISHED.items():

    rule:
        name:
            f"pretrain_weights_{BACKEND}"
        input:
            code=backend_code("pretrain_weights.py", BACKEND, "backend", "weights"),
        output:
            weights="results/weights/library/{model}-synthetic-{digest}.{suffix}",
            tensorboard=directory(
                "results/weights/tensorboard/{model}-synthetic-{digest}.{suffix}"
            ),
        log:
            "results/weights/logs/pretrain_weights-{model}-{digest}.{suffix}.log",
        wildcard_constraints:
            model="|".join(MODELS),
        priority: 1  # the pretrained runs wait for these
        conda:
            f"../../envs/{BACKEND}.yaml"
        container:
            image(BACKEND)
        threads: cores_for_each(len(PRETRAINING))
        resources:
            mem_mb=scaled(TRAINING_MEMORY),
            runtime=240,  # a retry goes on from the checkpoint
            gpu=1,
            # Resources, since a changed resource reruns nothing.
            checkpoint_steps=0,
            device=STUDY.config.training.device,
            jobs_per_gpu=STUDY.config.training.jobs_per_gpu,
            resume=STUDY.config.training.resume,
        params:
            *settings_by("model", PRETRAINING),
            f"--backend={BACKEND}",
        message:
            "Pretraining {wildcards.model} on synthetic images"
        shell:
            "python {input.code[0]:q} {params:q} --threads {threads}"
            " --checkpoint-steps {resources.checkpoint_steps} --device {resources.device}"
            " --jobs-per-gpu {resources.jobs_per_gpu} --resume {resources.resume} --output {output.weights:q}"
            " --tensorboard {output.tensorboard:q} --log {log:q}"

    rule:
        name:
            f"import_weights_{BACKEND}"
        input:
            code=backend_code("import_weights.py", BACKEND, "weights"),
            library=lambda wildcards: library_file(
                wildcards.model, wildcards.weights_id
            ),
        output:
            "results/weights/{model}-{weights_id}.safetensors",
        log:
            "results/weights/logs/import_weights-{model}-{weights_id}.log",
        wildcard_constraints:
            model="|".join(MODELS),
        priority: 2  # it takes seconds, and the parity measurements wait for it
        conda:
            f"../../envs/{BACKEND}.yaml"
        container:
            image(BACKEND)
        resources:
            mem_mb=scaled(2000),
            runtime=scaled(10),
        params:
            f"--backend={BACKEND}",
        message:
            "Converting the weights of {wildcards.model} for both frameworks"
        shell:
            "python {input.code[0]:q} {params:q} --model {wildcards.model}"
            " --library {input.library:q} --output {output:q} --log {log:q}"
