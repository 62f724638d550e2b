"""The arithmetic of a training: as set, or what the hardware supports."""

from pathlib import Path

# Processor flags of bfloat16 matrix products. Others emulate them, slower than float32.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
_BFLOAT16_CAPABILITY = (8, 0)  # CUDA compute capability of Ampere, the first with bfloat16


def choose(setting: str, compute_capability: tuple[int, int] | None) -> str:
    """`float32` or `bfloat16` for the setting float32, bfloat16 or auto.

    `compute_capability` is that of the GPU in use, None on a CPU. With auto the hardware decides,
    so that both frameworks compute alike on one machine.
    """
    if setting != "auto":
        return setting
    if compute_capability is not None:
        supported = compute_capability >= _BFLOAT16_CAPABILITY
    else:
        supported = bool(_BFLOAT16_FLAGS & processor_flags())
    return "bfloat16" if supported else "float32"


def processor_flags() -> set[str]:
    """Linux's names of the processor's features; empty on other systems."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return set()
    lines = path.read_text(encoding="utf-8").splitlines()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
