"""Where a result comes from: code, data, weights, software, machine."""

import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from twinbench.files import checksum


@dataclass(frozen=True)
class Accelerator:
    """A GPU as a framework uses it: its name, such as NVIDIA A100-PCIE-40GB, its compute capability,
    such as 8.0, and the versions of the CUDA and cuDNN that the framework uses.
    """

    name: str
    compute_capability: str | None
    cuda: str | None
    cudnn: str | None


def dotted_cuda(version: int) -> str:
    """CUDA's version, which it gives as one number: 12090 is 12.9."""
    major, rest = divmod(version, 1000)
    return f"{major}.{rest // 10}"


def dotted_cudnn(version: int | None) -> str | None:
    """cuDNN's version, which it gives as one number: 91002 is 9.10.2, and 8902, before 9, 8.9.2."""
    if version is None:
        return None
    major, rest = divmod(version, 10_000 if version >= 90_000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"


def git_state(folder: Path) -> dict:
    """`commit` and `dirty` of the checkout around `folder`; both None where there is none.

    `dirty` alone is None where there is no git to look for changes, as in a container, or where it
    refuses to, as in another user's checkout.
    """
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": _commit_without_git(folder.absolute()), "dirty": None}
    return {"commit": commit, "dirty": dirty}


def _commit_without_git(folder: Path) -> str | None:
    """The commit that the files of the checkout around `folder` name: see gitrepository-layout(5)."""
    found = (each / ".git" for each in (folder, *folder.parents))
    store = next((path for path in found if path.exists()), None)
    if store is None:
        return None
    if store.is_file():  # of a further work tree, or a submodule
        store = store.parent / store.read_text(encoding="utf-8").partition("gitdir:")[2].strip()
    head = _text(store / "HEAD")
    if not head.startswith("ref: "):
        return head or None
    name = head.removeprefix("ref: ")
    common = store / (_text(store / "commondir") or ".")
    packed = (line.split(" ") for line in _text(common / "packed-refs").splitlines())
    in_pack = next((words[0] for words in packed if words[1:] == [name]), "")
    return _text(store / name) or _text(common / name) or in_pack or None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    answer = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return answer.stdout.strip()


def versions(distributions: tuple[str, ...]) -> dict[str, str]:
    """Python's version and those of the named distributions."""
    found = {"python": platform.python_version()}
    return found | {name: metadata.version(name) for name in distributions}


def checksums(files: dict[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file, by the given name."""
    return {name: checksum(path) for name, path in files.items()}


def processor() -> str:
    """The processor's name as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
