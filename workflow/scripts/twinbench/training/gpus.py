"""The GPUs of this machine, by any name that CUDA_VISIBLE_DEVICES may call them.

One device has several names: its index, its UUID, the beginning of that. Leases need to know that these
are one. `system` is the root of the file system.
"""

import logging
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

log = logging.getLogger(__name__)

ROOT = Path("/")
_WSL_PROGRAM = "usr/lib/wsl/lib/nvidia-smi"  # not always on the search path
_SECONDS_TO_ANSWER = 60
_NONE = ("", "-1", "NoDevFiles", "none")  # names that mean no device
_CARD = re.compile(r"GPU (\d+): .*\(UUID: (GPU-[^)]+)\)")
_PART = re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_CAPABILITY = re.compile(r"(GPU-\S+), (\d+)\.(\d+)")
_DRIVER = re.compile(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s")


@dataclass(frozen=True)
class Device:
    """What one job can be given: a GPU, or one of the MIG devices that a GPU is divided into.

    `name` is one that CUDA_VISIBLE_DEVICES takes, `identity` the same for all names of a device, and
    `capability` its CUDA compute capability, such as (8, 0), where nvidia-smi says it.
    """

    name: str
    identity: str
    capability: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Card:
    """A GPU by its index and UUID. `devices` are its MIG devices, where it has some, or it alone.

    The driver's files, unlike nvidia-smi, are not `complete`: they list no MIG devices, GPUs that a
    batch system hides from this process, and `?` for a UUID until the GPU is used.
    """

    index: int
    uuid: str
    devices: tuple[Device, ...]
    complete: bool


def visible(listed: str | None, system: Path = ROOT) -> list[Device]:
    """The devices that `listed`, a value of CUDA_VISIBLE_DEVICES, allows; with None all.

    As CUDA does, takes those before the first name that means none or that no device has. Where
    nothing lists the devices, the names are believed.
    """
    cards = _listed_by_nvidia_smi(system) or _listed_by_driver(system)
    if listed is None:
        if not cards:
            _warn_of_nodes(system)
        return [device for card in cards for device in card.devices]
    found: dict[str, Device] = {}
    for name in _names(listed):
        devices = _named(name, cards) if cards else [Device(name, name)]
        if not devices:
            log.warning(
                "CUDA_VISIBLE_DEVICES=%s: there is no GPU %s, so it and all after it are ignored, as "
                "CUDA does; `nvidia-smi -L` lists the names",
                listed,
                name,
            )
            break
        for device in devices:
            found.setdefault(device.identity, device)
    return list(found.values())


def driver_version(system: Path = ROOT) -> str | None:
    """The version of NVIDIA's driver, such as 580.95.05; None without one."""
    path = system / "proc/driver/nvidia/version"
    found = _DRIVER.search(path.read_text(encoding="utf-8")) if path.exists() else None
    if found:
        return found[1]
    lines = _nvidia_smi(system, "--query-gpu=driver_version", "--format=csv,noheader")
    return lines[0].strip() if lines else None


def _names(listed: str) -> list[str]:
    names = [part.strip() for part in listed.split(",")]
    return names[: next((place for place, name in enumerate(names) if name in _NONE), len(names))]


def _named(name: str, cards: list[_Card]) -> list[Device]:
    """The devices that a name means: one, all MIG devices of a card, or none."""
    if name.startswith("MIG-"):
        parts = [
            device for card in cards for device in card.devices if device.name.startswith(name)
        ]
        if len(parts) == 1:
            return parts
    elif name.isdecimal() or name.startswith("GPU-"):
        found = [
            card
            for card in cards
            if (card.index == int(name) if name.isdecimal() else card.uuid.startswith(name))
        ]
        if len(found) == 1:
            (card,) = found
            # The driver's files may count other GPUs than this process sees: the name stays as given.
            return list(card.devices if card.complete else [replace(card.devices[0], name=name)])
    return [Device(name, name)] if _may_be_unlisted(name, cards) else []


def _may_be_unlisted(name: str, cards: list[_Card]) -> bool:
    """Whether there may be a device of this name although it is not listed by it."""
    if name.startswith("MIG-GPU-"):  # MIG-GPU-<uuid>/<instance>/<instance>, older than MIG-<uuid>
        uuid = name.removeprefix("MIG-").partition("/")[0]
        return any(uuid == card.uuid for card in cards)
    if name.startswith("MIG-"):
        return not all(card.complete for card in cards)
    return name.startswith("GPU-") and any("?" in card.uuid for card in cards)


def _listed_by_nvidia_smi(system: Path) -> list[_Card]:
    """The cards that `nvidia-smi -L` lists, each followed by its MIG devices."""
    cards: list[tuple[int, str, list[str]]] = []
    for line in _nvidia_smi(system, "-L"):
        if found := _CARD.match(line):
            cards.append((int(found[1]), found[2], []))
        elif cards and (found := _PART.match(line)):
            cards[-1][2].append(found[1])
    capabilities = _capabilities(system) if cards else {}
    return [
        _Card(
            index,
            uuid,
            tuple(Device(name, name, capabilities.get(uuid)) for name in parts or [uuid]),
            complete=True,
        )
        for index, uuid, parts in cards
    ]


def _capabilities(system: Path) -> dict[str, tuple[int, int]]:
    """The compute capabilities of the cards by UUID; of none where the driver is too old to say them."""
    lines = _nvidia_smi(system, "--query-gpu=uuid,compute_cap", "--format=csv,noheader")
    found = (_CAPABILITY.match(line) for line in lines)
    return {match[1]: (int(match[2]), int(match[3])) for match in found if match}


def _listed_by_driver(system: Path) -> list[_Card]:
    """The cards that the driver's files describe, in the order of their places on the bus.

    By index, since the UUID is not always known.
    """
    cards = []
    paths = sorted(system.glob("proc/driver/nvidia/gpus/*/information"))
    for index, path in enumerate(paths):
        found = re.search(r"GPU UUID:\s*(\S+)", path.read_text(encoding="utf-8"))
        device = Device(str(index), str(index))
        cards.append(_Card(index, found[1] if found else "?", (device,), complete=False))
    return cards


def _nvidia_smi(system: Path, *arguments: str) -> list[str]:
    """The lines that nvidia-smi answers; none where it is missing or fails."""
    in_wsl = system / _WSL_PROGRAM
    program = shutil.which("nvidia-smi") or (str(in_wsl) if os.access(in_wsl, os.X_OK) else None)
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, *arguments],
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=_SECONDS_TO_ANSWER,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.info("nvidia-smi does not answer: %s", error)
        return []
    if answer.returncode:
        log.info("nvidia-smi fails: %s", " ".join((answer.stdout + answer.stderr).split()))
        return []
    return answer.stdout.splitlines()


def _warn_of_nodes(system: Path) -> None:
    for node in ("dev/nvidia0", "dev/dxg"):  # the latter is WSL's
        if (system / node).exists():
            log.warning(
                "/%s is there, but neither nvidia-smi nor /proc/driver/nvidia lists a GPU, so none is "
                "used; set CUDA_VISIBLE_DEVICES=0 to use the first",
                node,
            )
            return
