"""A training step as a CUDA graph: launched as one, since launching its kernels one by one takes longer
than a GPU needs to run them."""

from collections.abc import Callable, Iterable

import torch

_WARM_UP_STEPS = 3  # as PyTorch's documentation of CUDA graphs advises


def captured(step: Callable[[], None], changed: Iterable[torch.Tensor]) -> Callable[[], None]:
    """A function that does what `step` does, on the same tensors.

    `changed` are all tensors that a step changes; they keep their values here. Whatever else it reads
    must stay where it is in memory.
    """
    changed = list(changed)
    before = [tensor.clone() for tensor in changed]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    with torch.no_grad():
        for tensor, value in zip(changed, before, strict=True):
            tensor.copy_(value)
    return graph.replay
