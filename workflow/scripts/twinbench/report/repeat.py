"""How to repeat the study: the code, the command, the software, and checksums of what went in."""

import json
import shlex

from twinbench.analysis import naming
from twinbench.analysis.reading import Accelerator, Code
from twinbench.report import blocks
from twinbench.report.blocks import Block, Folded, Row, Table, Text
from twinbench.report.evidence import Evidence

_INSTALLATION = "make .venv && source .venv/bin/activate"


def command(evidence: Evidence, **values: object) -> str:
    """The command that makes the study, with other `values` of the config's keys, if any."""
    words = ["snakemake", "--cores", "all"]
    if evidence.given.files:
        words += ["--configfile", *evidence.given.files]
    changed = evidence.given.values | values
    if changed:
        words += ["--config", *(f"{key}={json.dumps(value)}" for key, value in changed.items())]
    return shlex.join(words)


def repeat(evidence: Evidence) -> list[Block]:
    say = evidence.say
    commits = {found.git.commit for found in evidence.provenances}
    names = ["settings.md", *(["parity.md"] if evidence.parity is not None else [])]
    files = [f"[{name}]({name})" for name in names]
    checkout = [f"git checkout {commit}" for commit in commits if commit and len(commits) == 1]
    return [
        Text(
            say("In a clone of twinbench, with this study's config as config/config.yaml:")
            if evidence.given.elsewhere
            else say("In a clone of twinbench:")
        ),
        blocks.Code("\n".join([*checkout, _INSTALLATION, command(evidence)])),
        Text(
            say(
                "The same seed, processor, number of threads and software (listed below) give the same bits "
                "on a CPU."
            )
        ),
        _checksums(evidence),
        Folded(
            say("Code, device and software of each run"),
            [_provenance(evidence), _software(evidence)],
        ),
        Text(say("More in {files}.", files=say.listed(files))),
    ]


def _checksums(evidence: Evidence) -> Table:
    """Of the archive, the data and the initial weights."""
    say = evidence.say
    archive = evidence.settings.archive_sha256
    rows = [[say("archive of the images"), f"`{archive}`"]] if archive else []
    for model, checksum in evidence.settings.published.items():
        name = naming.network(model)
        rows.append([say("published weights of {network}", network=say(name)), f"`{checksum}`"])
    for split, sha256 in evidence.dataset.sha256.items():
        rows.append([say("tensors: {split}", split=say(split)), f"`{sha256}`"])
    for run, found in evidence.provenance.items():
        if found.weights.sha256:
            rows.append([say("initial weights of {run}", run=run), f"`{found.weights.sha256}`"])
    return Table("checksums", [say("file"), say("checksum")], rows)


def _provenance(evidence: Evidence) -> Table:
    """Code, machine and start of each run's first seed."""
    say = evidence.say
    rows: list[Row] = [
        [
            run,
            _commit(evidence, found.git),
            found.device,
            blocks.Cell(str(found.threads), found.threads),
            found.precision,
            found.started,
        ]
        for run, found in evidence.provenance.items()
    ]
    header = [say("run"), "commit", say("device"), say("threads"), say("precision"), say("started")]
    return Table("provenance", header, rows)


def _commit(evidence: Evidence, code: Code) -> str:
    say = evidence.say
    if not code.commit:
        return say("unknown")
    name = f"`{code.commit[:12]}`"
    if code.dirty is None:
        return say("{commit} (no git there to look for changes)", commit=name)
    return say("{commit} with changes", commit=name) if code.dirty else name


def _software(evidence: Evidence) -> Table:
    """Versions of the libraries in each run's environment, and of what drives its GPU."""
    versions = {
        run: found.versions | _gpu_software(evidence, found.accelerator)
        for run, found in evidence.provenance.items()
    }
    libraries = sorted({library for found in versions.values() for library in found})
    rows = [
        [library, *(found.get(library, "-") for found in versions.values())]
        for library in libraries
    ]
    return Table("software", [evidence.say("library"), *versions], rows)


def _gpu_software(evidence: Evidence, accelerator: Accelerator | None) -> dict[str, str]:
    if accelerator is None:
        return {}
    found = {
        "CUDA": accelerator.cuda,
        "cuDNN": accelerator.cudnn,
        evidence.say("GPU driver"): accelerator.driver,
    }
    return {name: version for name, version in found.items() if version}
