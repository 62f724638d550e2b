# From an archive in CIFAR-10's official binary layout to tensors, and to Parquet beside them.


DATASET = STUDY.config.dataset
SPLIT_SETTINGS = settings(
    {name: getattr(DATASET, name) for name in ("limit", "validation_fraction", "seed")}
)

# One of three rules makes the archive. For two of them the checksum defines the output.
FETCHING_COMMAND = "python {resources.command} --sha256 {params.sha256} --output {output:q} --log {log:q}"
if DATASET.source == "synthetic":

    rule generate_archive:
        input:
            code=code("generate_archive.py"),
        output:
            STUDY.archive,
        log:
            f"{STUDY.archive}.log",
        conda:
            "../../envs/analysis.yaml"
        container:
            image("analysis")
        params:
            *settings(DATASET.synthetic),
        message:
            "Generating synthetic images"
        shell:
            "python {input.code[0]:q} {params:q} --output {output:q} --log {log:q}"

elif DATASET.archive:

    rule import_archive:
        output:
            STUDY.archive,  # the script verifies it: the checksum may be that of the tar within
        log:
            f"{STUDY.archive}.log",
        localrule: True
        conda:
            "../../envs/analysis.yaml"
        container:
            image("analysis")
        resources:
            command=untracked_command("import_archive.py", "--archive", DATASET.archive),
        params:
            sha256=DATASET.sha256.lower(),
        message:
            "Checking and copying the local archive"
        shell:
            FETCHING_COMMAND

else:

    rule download_archive:
        output:
            STUDY.archive,  # the script verifies it: the checksum may be that of the tar within
        log:
            f"{STUDY.archive}.log",
        retries: 0  # the script tries again where that may help
        localrule: True
        conda:
            "../../envs/analysis.yaml"
        container:
            image("analysis")
        resources:
            command=untracked_command("download_archive.py", "--url", *DATASET.url),
        params:
            sha256=DATASET.sha256.lower(),
        message:
            "Downloading CIFAR-10"
        shell:
            FETCHING_COMMAND


rule build_tensors:
    input:
        code=code("build_tensors.py"),
        archive=STUDY.archive,
    output:
        train=f"{STUDY.data_folder}/train.safetensors",
        validation=f"{STUDY.data_folder}/validation.safetensors",
        test=f"{STUDY.data_folder}/test.safetensors",
    log:
        f"{STUDY.data_folder}/logs/build_tensors.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        *SPLIT_SETTINGS,
    message:
        "Splitting the images into tensors for training, validation and test"
    shell:
        "python {input.code[0]:q} {params:q} --archive {input.archive:q} --train {output.train:q}"
        " --validation {output.validation:q} --test {output.test:q} --log {log:q}"


# A rule of its own: making this file again is no reason to make the tensors again, and to train on them.
rule describe_tensors:
    input:
        code=code("describe_tensors.py"),
        train=f"{STUDY.data_folder}/train.safetensors",
        validation=f"{STUDY.data_folder}/validation.safetensors",
        test=f"{STUDY.data_folder}/test.safetensors",
    output:
        f"{STUDY.data_folder}/statistics.json",
    log:
        f"{STUDY.data_folder}/logs/describe_tensors.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        *SPLIT_SETTINGS,
    message:
        "Counting the images of each class"
    shell:
        "python {input.code[0]:q} {params:q} --train {input.train:q} --validation {input.validation:q}"
        " --test {input.test:q} --output {output:q} --log {log:q}"


rule build_parquet:
    input:
        code=code("build_parquet.py"),
        archive=STUDY.archive,
    output:
        train=f"{STUDY.data_folder}/train.parquet",
        test=f"{STUDY.data_folder}/test.parquet",
    log:
        f"{STUDY.data_folder}/logs/build_parquet.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        *SPLIT_SETTINGS,
    message:
        "Writing the images as Parquet"
    shell:
        "python {input.code[0]:q} {params:q} --archive {input.archive:q}"
        " --train {output.train:q} --test {output.test:q} --log {log:q}"
