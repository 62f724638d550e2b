# Pretrained weights: the publisher's file, the user's own or a proxy, each in the official format,
# and from that the framework-free weights with which either framework starts.


wildcard_constraints:
    model="|".join(OFFICIAL_SUFFIX),
    suffix="|".join(OFFICIAL_SUFFIX.values()),
    identity=r"[a-z0-9-]+",
    digest="[0-9a-f]{8}",


rule download_weights:
    output:
        "results/weights/official/{model}-imagenet.{suffix}",
    log:
        "results/weights/logs/download_weights-{model}.{suffix}.log",
    retries: 3
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        command=official_download,
    params:
        checksum=official_checksum,
    message:
        "Downloading ImageNet weights of {wildcards.model}"
    shell:
        "python {resources.command} --checksum {params.checksum}"
        " --output {output} --log {log}"


rule pretrain_proxy_pytorch:
    input:
        code=code("pretrain_proxy_pytorch.py", "pytorch"),
    output:
        weights="results/weights/official/alexnet-proxy-{digest}.pth",
        tensorboard=directory("results/weights/tensorboard/alexnet-proxy-{digest}"),
    log:
        "results/weights/logs/pretrain_proxy_pytorch-{digest}.log",
    priority: 1  # the pretrained runs wait for these
    conda:
        "../../envs/pytorch.yaml"
    container:
        image("pytorch")
    threads: threads_of_a_pretraining
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=1,
        checkpoint_steps=0,
    params:
        settings=canonical(CONFIGURATION.proxy("alexnet")),
    message:
        "Pretraining proxy weights for AlexNet on synthetic images"
    shell:
        "python {input.code[0]} --settings {params.settings:q} --model alexnet --threads {threads}"
        " --checkpoint-steps {resources.checkpoint_steps}"
        " --output {output.weights} --tensorboard {output.tensorboard} --log {log}"


rule pretrain_proxy_tensorflow:
    input:
        code=code("pretrain_proxy_tensorflow.py", "tensorflow"),
    output:
        weights="results/weights/official/vgg16-proxy-{digest}.h5",
        tensorboard=directory("results/weights/tensorboard/vgg16-proxy-{digest}"),
    log:
        "results/weights/logs/pretrain_proxy_tensorflow-{digest}.log",
    priority: 1  # the pretrained runs wait for these
    conda:
        "../../envs/tensorflow.yaml"
    container:
        image("tensorflow")
    threads: threads_of_a_pretraining
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=1,
        checkpoint_steps=0,
    params:
        settings=canonical(CONFIGURATION.proxy("vgg16")),
    message:
        "Pretraining proxy weights for VGG16 on synthetic images"
    shell:
        "python {input.code[0]} --settings {params.settings:q} --model vgg16 --threads {threads}"
        " --checkpoint-steps {resources.checkpoint_steps}"
        " --output {output.weights} --tensorboard {output.tensorboard} --log {log}"


rule import_alexnet_weights:
    input:
        code=code("import_alexnet_weights.py", "pytorch"),
        official=official_file("alexnet"),
    output:
        "results/weights/alexnet-{identity}.safetensors",
    log:
        "results/weights/logs/import_alexnet_weights-{identity}.log",
    conda:
        "../../envs/pytorch.yaml"
    container:
        image("pytorch")
    resources:
        mem_mb=4000,
        runtime=10,
    message:
        "Reading AlexNet's weights"
    shell:
        "python {input.code[0]} --official {input.official:q} --output {output} --log {log}"


rule import_vgg16_weights:
    input:
        code=code("import_vgg16_weights.py", "tensorflow"),
        official=official_file("vgg16"),
    output:
        "results/weights/vgg16-{identity}.safetensors",
    log:
        "results/weights/logs/import_vgg16_weights-{identity}.log",
    conda:
        "../../envs/tensorflow.yaml"
    container:
        image("tensorflow")
    resources:
        mem_mb=2000,
        runtime=10,
    message:
        "Reading VGG16's weights"
    shell:
        "python {input.code[0]} --official {input.official:q} --output {output} --log {log}"
