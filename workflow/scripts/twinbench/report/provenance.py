"""Where the results come from: code, machine, software, checksums."""

from twinbench.analysis.reading import Accelerator, Code
from twinbench.report.evidence import Evidence, Table


def provenance(evidence: Evidence) -> Table:
    """Code, machine and start of each run's first seed."""
    rows = [
        [
            run,
            _commit(found.git),
            found.device,
            str(found.threads),
            found.precision,
            found.started,
        ]
        for run, found in evidence.provenance.items()
    ]
    return Table(["run", "commit", "device", "threads", "precision", "started"], rows)


def _commit(code: Code) -> str:
    if not code.commit:
        return "unknown"
    changes = {True: " with changes", False: "", None: " (no git there to look for changes)"}
    return f"`{code.commit[:12]}`{changes[code.dirty]}"


def software(evidence: Evidence) -> Table:
    """Versions of the libraries in each run's environment, and of what drives its GPU."""
    versions = {
        run: found.versions | _gpu_software(found.accelerator)
        for run, found in evidence.provenance.items()
    }
    libraries = sorted({library for found in versions.values() for library in found})
    rows = [
        [library, *(found.get(library, "-") for found in versions.values())]
        for library in libraries
    ]
    return Table(["library", *versions], rows)


def _gpu_software(accelerator: Accelerator | None) -> dict[str, str]:
    if accelerator is None:
        return {}
    found = {
        "CUDA": accelerator.cuda,
        "cuDNN": accelerator.cudnn,
        "GPU driver": accelerator.driver,
    }
    return {name: version for name, version in found.items() if version}


def checksums(evidence: Evidence) -> Table:
    """SHA-256 of the data and of the initial weights."""
    data = [[f"data: {split}", f"`{sha256}`"] for split, sha256 in evidence.dataset.sha256.items()]
    weights = [
        [f"weights of {run} ({found.weights.source})", f"`{found.weights.sha256}`"]
        for run, found in evidence.provenance.items()
        if found.weights.sha256
    ]
    return Table(["file", "SHA-256"], data + weights)
