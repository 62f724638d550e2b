"""The GPU that PyTorch computes on."""

import torch

from twinbench.provenance import Accelerator


def accelerator() -> Accelerator | None:
    """The GPU and the libraries through which PyTorch uses it; None on the CPU."""
    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return Accelerator(
        name=torch.cuda.get_device_name(),
        compute_capability=f"{major}.{minor}",
        cuda=torch.version.cuda,
        cudnn=dotted(torch.backends.cudnn.version()),
    )


def dotted(version: int | None) -> str | None:
    """cuDNN's version, which it gives as one number: 91002 is 9.10.2, and 8902, before 9, 8.9.2."""
    if version is None:
        return None
    major, rest = divmod(version, 10_000 if version >= 90_000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"
