"""Which devices a name in CUDA_VISIBLE_DEVICES means, by pretended programs and driver files."""

from pathlib import Path

import pytest
from pretended import GPU_A, GPU_B, MIG_1, MIG_2, Machine
from support import write_program
from twinbench.training import gpus

TWO = f"GPU 0: NVIDIA A100 (UUID: {GPU_A})\nGPU 1: NVIDIA A100 (UUID: {GPU_B})\n"
DIVIDED = (
    f"GPU 0: NVIDIA A100 (UUID: {GPU_A})\n"
    f"  MIG 1g.10gb     Device  0: (UUID: {MIG_1})\n"
    f"  MIG 1g.10gb     Device  1: (UUID: {MIG_2})\n"
    f"GPU 1: NVIDIA A100 (UUID: {GPU_B})\n"
)
# Before driver 470, MIG devices had these names, which later ones still take.
OLD_MIG = f"MIG-{GPU_A}/7/0"
OLDER_DRIVER = (
    f"GPU 0: NVIDIA A100 (UUID: {GPU_A})\n  MIG 1g.5gb Device 0: (UUID: {OLD_MIG})\n"
    f"  MIG 1g.5gb Device 1: (UUID: MIG-{GPU_A}/8/0)\n"
)
SHORT_A, SHORT_B = GPU_A[:8], GPU_B[:8]


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    """A machine without any sign of a GPU."""
    found = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(found.programs))
    return found


def names(listed: str | None, system: Path) -> list[str]:
    return [device.name for device in gpus.visible(listed, system)]


@pytest.mark.parametrize(
    ("listing", "listed", "expected"),
    [
        (TWO, None, [GPU_A, GPU_B]),
        (TWO, "", []),
        (TWO, "-1", []),
        (TWO, "NoDevFiles", []),
        (TWO, "none", []),
        (TWO, "0", [GPU_A]),
        (TWO, "1, 0", [GPU_B, GPU_A]),
        (TWO, "1,-1,0", [GPU_B]),
        (TWO, GPU_B, [GPU_B]),
        (TWO, f"{SHORT_B},{SHORT_A}", [GPU_B, GPU_A]),
        (TWO, f"0,{GPU_A}", [GPU_A]),
        (TWO, "0,0", [GPU_A]),
        # Unknown or ambiguous: CUDA ignores these and all after them.
        (TWO, "1,2,0", [GPU_B]),
        (TWO, "1,GPU-ffff,0", [GPU_B]),
        (TWO, "GPU-", []),
        (TWO, MIG_1, []),
        (TWO, "two", []),
        (TWO, "²", []),
        (TWO, "9" * 30, []),
        (TWO, "0x0", []),
        (TWO, "../../x", []),
        (TWO, " ", []),
        (TWO, ",", []),
        (TWO, SHORT_A.removeprefix("GPU-"), []),
        # A divided card is its parts.
        (DIVIDED, None, [MIG_1, MIG_2, GPU_B]),
        (DIVIDED, "0", [MIG_1, MIG_2]),
        (DIVIDED, GPU_A, [MIG_1, MIG_2]),
        (DIVIDED, f"{MIG_2},1", [MIG_2, GPU_B]),
        (DIVIDED, f"0,{MIG_1}", [MIG_1, MIG_2]),
        (DIVIDED, OLD_MIG, [OLD_MIG]),
        (DIVIDED, "MIG-GPU-ffff/7/0", []),
        (OLDER_DRIVER, None, [OLD_MIG, f"MIG-{GPU_A}/8/0"]),
        (OLDER_DRIVER, OLD_MIG, [OLD_MIG]),
    ],
)
def test_a_name_means_the_device_that_nvidia_smi_lists(machine, listing, listed, expected):
    machine.lists(listing)
    assert names(listed, machine.root) == expected


def test_the_index_is_nvidia_smis_even_where_a_card_is_lost(machine):
    machine.lists(f"Unable to determine the device handle\nGPU 1: X (UUID: {GPU_B})\n")
    assert names("1", machine.root) == [GPU_B]
    assert names("0", machine.root) == []


@pytest.mark.parametrize("listed", ["5", "0,GPU-ffff", "two,0"])
def test_a_name_that_no_device_has_is_one_warning(machine, listed, caplog):
    machine.lists(TWO)
    gpus.visible(listed, machine.root)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and listed in record.message
    assert "\n" not in record.message


# --- Without nvidia-smi ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, [("0", "0"), ("1", "1")]),
        ("1", [("1", "1")]),
        (f"{SHORT_B},0", [(SHORT_B, "1"), ("0", "0")]),
        (f"0,{GPU_A}", [("0", "0")]),
        ("2", []),
        (MIG_1, [(MIG_1, MIG_1)]),  # the driver's files list no MIG devices
    ],
)
def test_a_container_without_nvidia_smi_has_the_cards_of_the_drivers_files(
    machine, listed, expected
):
    machine.has_driver_files(GPU_A, GPU_B)
    found = gpus.visible(listed, machine.root)
    assert [(device.name, device.identity) for device in found] == expected


def test_a_card_whose_uuid_the_driver_does_not_know_yet_is_known_by_its_index(machine):
    machine.has_driver_files("GPU-????????-????-????-????-????????????")
    assert names(None, machine.root) == ["0"]
    assert names(GPU_A, machine.root) == [GPU_A]


def test_a_failing_nvidia_smi_is_told_and_the_drivers_files_are_read(machine, caplog):
    caplog.set_level("INFO")
    machine.nvidia_smi("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    machine.has_driver_files(GPU_A)
    assert names(None, machine.root) == ["0"]
    assert "version mismatch" in caplog.text


def test_a_program_that_is_none_is_told(machine, caplog):
    caplog.set_level("INFO")
    write_program(machine.programs / "nvidia-smi", "\x7fELF for another processor")
    assert names(None, machine.root) == []
    assert "nvidia-smi" in caplog.text


def test_names_are_believed_where_nothing_lists_the_devices(machine):
    assert names("3,GPU-x,3", machine.root) == ["3", "GPU-x"]


@pytest.mark.parametrize("node", ["dev/nvidia0", "dev/dxg"])
def test_a_node_of_a_gpu_that_nothing_lists_is_one_warning_that_names_the_cure(
    machine, node, caplog
):
    assert names(None, machine.root) == [] and not caplog.records
    machine.file(node)
    assert names(None, machine.root) == []
    (record,) = caplog.records
    assert node in record.message and "CUDA_VISIBLE_DEVICES=0" in record.message


def test_wsls_nvidia_smi_is_found_beside_the_search_path(machine):
    machine.nvidia_smi(f"echo 'GPU 0: X (UUID: {GPU_A})'", folder="usr/lib/wsl/lib")
    assert names("0", machine.root) == [GPU_A]


# --- The driver's version ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\n"
            "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n",
            "535.129.03",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  "
            "(dvs-builder@U16)  Fri Aug 16 21:22:33 UTC 2024\n",
            "560.35.03",
        ),
    ],
)
def test_the_drivers_version_is_read_from_its_file(machine, text, version):
    machine.file("proc/driver/nvidia/version", text)
    assert gpus.driver_version(machine.root) == version


def test_the_drivers_version_is_nvidia_smis_where_there_is_no_file(machine):
    assert gpus.driver_version(machine.root) is None
    machine.nvidia_smi('[ "$1" = --query-gpu=driver_version ] && echo 522.25')
    assert gpus.driver_version(machine.root) == "522.25"
