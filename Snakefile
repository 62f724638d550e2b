# The workflow is in workflow/; this file brings it to the project's folder, where people look for it.


include: "workflow/Snakefile"


# Snakemake takes no default target from an included file.
rule default:
    default_target: True
    input:
        rules.all.input,
    message:
        "Completing the study"
