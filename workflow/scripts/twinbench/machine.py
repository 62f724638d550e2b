"""How much memory there is for the jobs of one machine."""

import os
from pathlib import Path

# Where the limits of control groups lie, by their controllers: version 2, and version 1.
_LIMITS = {
    "": ("sys/fs/cgroup", "memory.max"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
}


def memory_mb(system: Path = Path("/")) -> int:
    """The machine's memory in MB (10^6 bytes), or less where a control group limits this process: in a
    container, in a Slurm job. `system` is the folder of `proc` and `sys`."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _text(system / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers in _LIMITS:
            root, name = _LIMITS[controllers]
            folder = system / root / group.strip("/")
            texts = [_text(parent / name).strip() for parent in (folder, *folder.parents)]
            sizes += [int(text) for text in texts if text.isdigit()]  # "max" is none
    return min(sizes) // 10**6


def _text(path: Path) -> str:
    """Empty where the file is missing: on other systems, and of groups outside this container."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
