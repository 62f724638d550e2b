"""What a GPU would do in a training step, seen without one: every operation of the step runs on it, and
the host neither computes nor copies anything in between."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from frameworks import PyTorch, TensorFlow
from support import TINY, TINY_RESIZABLE, make_job
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import kernels
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from twinbench.backends.pytorch import backend as pytorch
from twinbench.backends.tensorflow.backend import plan_tensors

NETWORKS = pytest.mark.parametrize("network", [TINY, TINY_RESIZABLE], ids=lambda each: each.name)


def job_of(network):
    return make_job(
        network,
        dropout=0.5,
        label_smoothing=0.1,
        batch_normalisation=True,
        optimiser={"weight_decay": 0.1},
        learning_rate_multipliers={"conv": 0.5},
        precision="bfloat16",
    )


# --- PyTorch: on pretended tensors of a GPU ----------------------------------------------------


# Whose backward or forward pass adds in no fixed order on GPUs, by the documentation of
# torch.use_deterministic_algorithms, as far as networks like these could come to use them.
NOT_DETERMINISTIC = {
    *("_adaptive_avg_pool2d", "adaptive_max_pool2d", "fractional_max_pool2d", "avg_pool3d"),
    *("reflection_pad1d", "reflection_pad2d", "replication_pad2d", "upsample_linear1d"),
    *("upsample_bilinear2d", "upsample_bicubic2d", "nll_loss2d_forward", "embedding_bag"),
    *("cumsum", "histc", "bincount", "kthvalue", "median", "put_", "_ctc_loss"),
}


class Operations(TorchDispatchMode):
    """Collects all operations, and those that touch tensors of another device than the GPU."""

    def __init__(self):
        super().__init__()
        self.elsewhere, self.names = [], set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.names.add(function.overloadpacket.__name__)
        leaves = tree_leaves((args, kwargs, result))
        devices = {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)}
        if devices - {"cuda"}:
            self.elsewhere.append(str(function))
        return result


def convert(module, device=None, memory_format=torch.preserve_format):
    """As nn.Module.to, which cannot exchange pretended parameters."""
    for each in module.modules():
        for tensors in (each._parameters, each._buffers):
            for name, tensor in tensors.items():
                layout = memory_format if tensor.ndim == 4 else torch.preserve_format
                moved = tensor.detach().to(device or tensor.device, memory_format=layout)
                tensors[name] = torch.nn.Parameter(moved) if tensors is each._parameters else moved
    return module


def empty(module, device):
    """As nn.Module.to_empty."""
    for each in module.modules():
        for tensors in (each._parameters, each._buffers):
            for name, tensor in tensors.items():
                made = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
                tensors[name] = torch.nn.Parameter(made) if tensors is each._parameters else made
    return module


@NETWORKS
@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_a_pytorch_step_touches_nothing_but_the_gpu(network, monkeypatch):
    updated = []

    def update(*lists, lr, **settings):
        updated.append(
            {tensor.device.type for tensors in lists for tensor in tensors} | {lr.device.type}
        )

    monkeypatch.setattr(pytorch, "_device", lambda: torch.device("cuda:0"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.nn.Module, "to", convert)
    monkeypatch.setattr(torch.nn.Module, "to_empty", empty)
    monkeypatch.setattr(torch, "_fused_adamw_", update)  # has no pretended form
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: None)  # needs a driver
    job = job_of(network)
    with FakeTensorMode(allow_non_fake_inputs=True):
        backend = PyTorch(job)
        backend.start_phase(job.phases[0])
        backend.start_epoch(job.plan(job.phases[0], 1), 0)
        for parameter in backend._network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        backend._optimiser.zero_grad = lambda: None
        with Operations() as operations:
            backend._train_step()
    assert updated and all(each == {"cuda"} for each in updated)
    assert [name for name in operations.elsewhere if not name.startswith("profiler.")] == []
    assert "convolution" in operations.names and not operations.names & NOT_DETERMINISTIC


# --- TensorFlow: by the kernels that its wheel has for GPUs ------------------------------------


def nodes(function):
    """The operations of a graph and of every function that it calls."""
    definition = function.graph.as_graph_def(add_shapes=False)
    yield from definition.node
    for each in definition.library.function:
        yield from each.node_def


def has_gpu_kernel(node):
    registered = kernels.get_registered_kernels_for_op(node.op).kernel
    return any(
        kernel.device_type in ("GPU", "DEFAULT")
        and all(fits(node.attr[each.name], each) for each in kernel.constraint)
        for kernel in registered
    )


def fits(attribute, constraint):
    allowed = constraint.allowed_values.list.type
    types = attribute.list.type or [attribute.type]
    return not allowed or all(each in allowed for each in types)


# Not computed, or not by a kernel of their own: the runtime replaces them.
STRUCTURE = {"Placeholder", "NoOp", "PartitionedCall", "StatefulPartitionedCall"}


@NETWORKS
def test_every_operation_of_a_tensorflow_step_has_a_kernel_for_gpus(network):
    job = job_of(network)
    backend = TensorFlow(job)
    backend.start_phase(job.phases[0])
    plan = plan_tensors(job.plan(job.phases[0], 1))
    step = tf.constant(0)
    graphs = [
        backend._train_steps.get_concrete_function(plan, step, step, job.input_size),
        backend._predict.get_concrete_function(tf.constant(job.test.images), job.input_size),
        backend._probe.get_concrete_function(tf.constant(job.test.images), job.input_size),
    ]
    missing = {
        (node.op, types_pb2.DataType.Name(node.attr["T"].type or node.attr["Tparams"].type))
        for graph in graphs
        for node in nodes(graph)
        if node.op not in STRUCTURE and not has_gpu_kernel(node)
    }
    assert missing == set()


def test_a_missing_kernel_is_found():
    images = tf.constant(np.zeros((4, 2), np.uint8))
    graph = tf.function(lambda chosen: tf.gather(images, chosen)).get_concrete_function(
        tf.constant([0])
    )
    assert any(node.op == "GatherV2" and not has_gpu_kernel(node) for node in nodes(graph))
