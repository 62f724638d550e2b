"""What Snakemake's last screen says about a job that failed."""

import re
from collections.abc import Iterable
from pathlib import Path

# As entry scripts write them, most of them after the time of day.
_REASON = re.compile(r"(?:[\d:]{8} )?((error: |interrupted).*)")
_BUG = re.compile(r"[\d:]{8} unexpected error|Traceback ")


def describe_failure(job: str, logs: Iterable[str | Path], started: float) -> str:
    """A job that failed, in a few lines: its name, the line of its log that matters, the log's path.

    Logs that were last written before `started`, in seconds since 1970, are of earlier jobs.
    """
    paths = [path for path in map(Path, logs) if path.exists() and path.stat().st_mtime >= started]
    lines = [line for path in paths for line in _lines(path)]
    where = [f"  log: {path}" for path in paths] if lines else []
    reason = _reason(lines)
    fate = "Stopped" if reason.startswith("interrupted") else "Failed"
    return "\n".join([f"{fate}: {job}", f"  {reason}", *where])


def _reason(lines: list[str]) -> str:
    if not lines:
        return (
            "It ended before it wrote to its log; the reason, if it gave one, is further up, "
            "on a cluster perhaps sbatch's."
        )
    reasons = [found[1] for line in lines if (found := _REASON.match(line))]
    if reasons:
        return reasons[-1]
    if any(map(_BUG.match, lines)):
        return lines[-1].strip()  # of its traceback
    return f"It ended without an error message: was it killed, or out of memory? Last line: {lines[-1]}"


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if line.strip()]
