# From an archive in CIFAR-10's official binary layout to tensors.


ARCHIVE = f"{DATA}/archive.tar.gz"

# One of three makes the archive. For two of them the checksum alone decides its bytes, so it alone is
# tracked, and their commands read the same.
FETCHING_COMMAND = (
    "python {resources.command} --sha256 {params.sha256} --output {output} --log {log}"
)
if CONFIGURATION.dataset["source"] == "synthetic":

    rule draw_archive:
        input:
            code=code("draw_archive.py"),
        output:
            ARCHIVE,
        log:
            f"{DATA}/logs/draw_archive.log",
        conda:
            "../../envs/analysis.yaml"
        container:
            image("analysis")
        params:
            settings=canonical(CONFIGURATION.dataset["synthetic"]),
        message:
            "Drawing synthetic images"
        shell:
            "python {input.code[0]} --settings {params.settings:q} --output {output} --log {log}"

elif CONFIGURATION.dataset["archive"]:

    rule import_archive:
        output:
            ensure(ARCHIVE, sha256=CONFIGURATION.dataset["sha256"].lower()),
        log:
            f"{DATA}/logs/import_archive.log",
        localrule: True
        conda:
            "../../envs/analysis.yaml"
        container:
            image("analysis")
        resources:
            command=command(
                "import_archive.py", "--archive", CONFIGURATION.dataset["archive"]
            ),
        params:
            sha256=CONFIGURATION.dataset["sha256"].lower(),
        message:
            "Checking and copying the local archive"
        shell:
            FETCHING_COMMAND

else:

    rule download_archive:
        output:
            ensure(ARCHIVE, sha256=CONFIGURATION.dataset["sha256"].lower()),
        log:
            f"{DATA}/logs/download_archive.log",
        retries: 3
        localrule: True
        conda:
            "../../envs/analysis.yaml"
        container:
            image("analysis")
        resources:
            command=command(
                "download_archive.py", "--url", CONFIGURATION.dataset["url"]
            ),
        params:
            sha256=CONFIGURATION.dataset["sha256"].lower(),
        message:
            "Downloading CIFAR-10"
        shell:
            FETCHING_COMMAND


rule build_parquet:
    input:
        code=code("build_parquet.py"),
        archive=ARCHIVE,
    output:
        train=f"{DATA}/train.parquet",
        test=f"{DATA}/test.parquet",
    log:
        f"{DATA}/logs/build_parquet.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    threads: 4
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        settings=canonical({"official": CONFIGURATION.dataset["source"] == "cifar10"}),
    message:
        "Turning the archive into Parquet"
    shell:
        "python {input.code[0]} --archive {input.archive} --settings {params.settings:q}"
        " --threads {threads} --train {output.train} --test {output.test} --log {log}"


rule build_tensors:
    input:
        code=code("build_tensors.py"),
        train=f"{DATA}/train.parquet",
        test=f"{DATA}/test.parquet",
    output:
        train=f"{DATA}/train.safetensors",
        validation=f"{DATA}/validation.safetensors",
        test=f"{DATA}/test.safetensors",
        statistics=f"{DATA}/statistics.json",
    log:
        f"{DATA}/logs/build_tensors.log",
    conda:
        "../../envs/analysis.yaml"
    container:
        image("analysis")
    threads: 4
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        settings=canonical(
            {
                name: CONFIGURATION.dataset[name]
                for name in ("limit", "validation_fraction", "seed")
            }
        ),
    message:
        "Splitting the images into tensors for training, validation and test"
    shell:
        "python {input.code[0]} --train-parquet {input.train} --test-parquet {input.test}"
        " --settings {params.settings:q} --threads {threads} --train {output.train} --validation {output.validation}"
        " --test {output.test} --statistics {output.statistics} --log {log}"
