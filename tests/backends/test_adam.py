"""The optimiser of the PyTorch backend."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from frameworks import PyTorch
from support import SCRIPTS, TINY, make_job
from twinbench.backends.pytorch.adam import FusedAdamW, Group


def parameters():
    torch.manual_seed(0)
    kernel = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last)
    return [torch.nn.Parameter(kernel), torch.nn.Parameter(torch.randn(8))]


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_it_is_torchs_own_bit_for_bit(weight_decay):
    ours, theirs = parameters(), parameters()
    rate = torch.tensor(0.002)
    adam = FusedAdamW([Group(ours, 1.0, weight_decay, rate)], betas=(0.9, 0.99), epsilon=1e-7)
    torchs = torch.optim.AdamW(
        theirs, lr=rate, betas=(0.9, 0.99), eps=1e-7, weight_decay=weight_decay, fused=True
    )
    for step in range(5):
        torch.manual_seed(step)
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        adam.step()
        torchs.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)
        assert all(torch.equal(adam.state[mine][n], t) for n, t in torchs.state[other].items())


def test_parameters_without_a_gradient_stay():
    trained, frozen = parameters()
    adam = FusedAdamW(
        [Group([trained, frozen], 1.0, 0.3, torch.tensor(0.1))], betas=(0.9, 0.99), epsilon=1e-7
    )
    before = frozen.clone()
    trained.grad = torch.ones_like(trained)
    adam.step()
    assert torch.equal(frozen, before) and adam.state[frozen]["step"] == 0


def test_no_bit_of_a_weight_changes_before_the_first_step(monkeypatch):
    """On a GPU even an update at a learning rate of zero turns a weight of -0 into 0."""
    updates = []
    monkeypatch.setattr(torch, "_fused_adamw_", lambda *lists, **settings: updates.append(lists))
    job = make_job(TINY, optimiser={"weight_decay": 0.1})
    backend = PyTorch(job)
    weights = job.initial_weights()
    backend.set_weights({name: np.full_like(value, -0.0) for name, value in weights.items()})
    backend.start_phase(job.phases[0])
    assert updates == []
    assert all(np.signbit(value).all() for value in backend.weights().values())


def test_a_step_does_not_import_torchs_compiler():
    program = """
import sys, support
from twinbench.backends.pytorch.backend import Backend
job = support.make_job(support.TINY)
backend = Backend(job)
backend.start_phase(job.phases[0])
backend.start_epoch(job.plan(job.phases[0], 1), 0)
backend.train(0, 1)
sys.exit("torch._dynamo" in sys.modules)
"""
    paths = [str(SCRIPTS), str(SCRIPTS.parents[1] / "tests")]
    setup = f"import sys; sys.path[:0] = {paths}\n"
    assert subprocess.run([sys.executable, "-c", setup + program], check=False).returncode == 0
