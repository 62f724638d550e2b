"""A machine with pretended GPUs: a folder that stands for its root, and programs of its own."""

from pathlib import Path

from support import write_program

GPU_A = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"
GPU_B = "GPU-8f1c3a42-0000-1111-2222-333344445555"
MIG_1 = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd"
MIG_2 = "MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d"


class Machine:
    """`root` is the root of its file system, `programs` the search path for programs."""

    def __init__(self, folder: Path) -> None:
        self.root, self.programs = folder / "root", folder / "programs"
        self.root.mkdir()
        self.programs.mkdir()

    def file(self, path: str, text: str = "") -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def nvidia_smi(self, commands: str, folder: str | None = None) -> None:
        """A program of these shell commands, on the search path or in a folder of the root."""
        path = (self.root / folder if folder else self.programs) / "nvidia-smi"
        write_program(path, f"#!/bin/sh\n{commands}\n")

    def lists(self, listing: str, capabilities: str = "") -> None:
        """Let `nvidia-smi -L` answer so, and a question for compute capabilities so."""
        answer = "while IFS= read -r line; do printf '%s\\n' \"$line\"; done"
        self.nvidia_smi(
            f"if [ $1 = -L ]; then {answer} <<'END'\n{listing}END\n"
            f"else {answer} <<'END'\n{capabilities}END\nfi"
        )

    def has_driver_files(self, *uuids: str) -> None:
        for place, uuid in enumerate(uuids, 1):
            self.file(
                f"proc/driver/nvidia/gpus/0000:{place:02x}:00.0/information",
                f"Model: \t\t NVIDIA A100\nIRQ:   \t\t 130\nGPU UUID: \t {uuid}\n",
            )
