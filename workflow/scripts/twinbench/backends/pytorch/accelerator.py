"""The GPU that PyTorch computes on."""

import torch

from twinbench.provenance import Accelerator, dotted_cudnn


def accelerator() -> Accelerator | None:
    """The GPU and the libraries through which PyTorch uses it; None on the CPU."""
    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return Accelerator(
        name=torch.cuda.get_device_name(),
        compute_capability=f"{major}.{minor}",
        cuda=torch.version.cuda,
        cudnn=dotted_cudnn(torch.backends.cudnn.version()),
    )
