"""Adam by torch's fused kernel, without `torch.optim`."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Group:
    """Parameters of one learning rate and weight decay; `learning_rate` is a scalar on their device.

    `multiplier` turns the schedule's learning rate into theirs.
    """

    parameters: list[torch.nn.Parameter]
    multiplier: float
    weight_decay: float
    learning_rate: torch.Tensor


class FusedAdamW:
    """What `torch.optim.AdamW(fused=True)` computes, bit for bit (compared on CPUs).

    `torch.optim` imports torch's compiler, which takes two seconds of each job's start, and has no
    moments before the first step, where a restored checkpoint and a CUDA graph need them.
    """

    amsgrad = False  # torch's variant with the largest second moment so far

    def __init__(self, groups: list[Group], betas: tuple[float, float], epsilon: float) -> None:
        self.groups, self.betas, self.epsilon = groups, betas, epsilon
        self.state = {
            parameter: {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }
            for parameter in self.parameters()
        }

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        for group in self.groups:
            yield from group.parameters

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters that have a gradient."""
        for group in self.groups:
            found = [(p, p.grad, self.state[p]) for p in group.parameters if p.grad is not None]
            if not found:
                continue
            updated, gradients, states = map(list, zip(*found, strict=True))
            steps = [state["step"] for state in states]
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                updated,
                gradients,
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],  # of AMSGrad
                steps,
                lr=group.learning_rate,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=group.weight_decay,
                eps=self.epsilon,
                amsgrad=self.amsgrad,
                maximize=False,
            )
