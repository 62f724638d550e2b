"""Every setting of a PyTorch training that could make twins differ, read from the objects in use."""

import inspect

import torch
from torch import nn
from torch.nn import functional

from twinbench.backends.pytorch import augmentation, network
from twinbench.backends.pytorch.adam import FusedAdamW, Group
from twinbench.networks.architectures import HEAD
from twinbench.parity.measuring import Setting, normalisation_setting
from twinbench.training.job import Job

_FILL = {"border": "nearest", "zeros": "zeros"}  # grid_sample's words


def describe(
    job: Job, model: nn.Sequential, optimiser: FusedAdamW, types: dict, sums: torch.Tensor
) -> dict[str, Setting]:
    """The settings; `types` are the layers' output types, `sums` hold the running loss and accuracy."""
    return {
        **_optimiser(model, optimiser),
        **_layers(model),
        **_arithmetic(model, types),
        **_data(job, model),
        **_process(model, job),
        "running loss and accuracy": Setting(
            f"sums in {str(sums.dtype).removeprefix('torch.')}", type(sums).__name__
        ),
    }


def _optimiser(model: nn.Sequential, optimiser: FusedAdamW) -> dict[str, Setting]:
    groups = optimiser.groups
    beta_1, beta_2 = optimiser.betas
    kind = type(optimiser).__name__
    decays = [
        (p.ndim, each.weight_decay * each.multiplier) for each in groups for p in each.parameters
    ]
    kernels = {decay for dimensions, decay in decays if dimensions > 1}
    others = {decay for dimensions, decay in decays if dimensions == 1}
    return {
        "optimiser": Setting("Adam", f"{kind}(torch._fused_adamw_)"),
        "Adam: beta 1": Setting(f"{beta_1:g}", f"betas[0]={beta_1:g}"),
        "Adam: beta 2": Setting(f"{beta_2:g}", f"betas[1]={beta_2:g}"),
        "Adam: epsilon": Setting(f"{optimiser.epsilon:.4g}", f"epsilon={optimiser.epsilon:.4g}"),
        "Adam: place of epsilon": Setting("beside the corrected moment", kind),
        "Adam: largest second moment (AMSGrad)": Setting(
            str(optimiser.amsgrad), f"amsgrad={optimiser.amsgrad}"
        ),
        "weight decay of kernels": Setting(_plain(kernels), f"decoupled, {kind}"),
        "weight decay of biases": Setting(_plain(others), f"decoupled, {kind}"),
        "clipping of gradients": Setting("none", "FusedAdamW.step"),
        "learning rate multipliers": Setting(
            _multipliers(model, groups), f"{len(groups)} parameter groups"
        ),
    }


def _multipliers(model: nn.Sequential, groups: list[Group]) -> str:
    by_parameter = {id(p): each.multiplier for each in groups for p in each.parameters}
    by_layer = {
        name.split(".")[0].removesuffix("_normalisation"): by_parameter[id(parameter)]
        for name, parameter in model.named_parameters()
        if id(parameter) in by_parameter
    }
    return ", ".join(f"{layer} {multiplier:g}" for layer, multiplier in by_layer.items())


def _plain(numbers: set[float]) -> str:
    return ", ".join(f"{number:g}" for number in sorted(numbers))


def _layers(model: nn.Sequential) -> dict[str, Setting]:
    lines = [f"{name} {_words(module)}" for name, module in model.named_children()]
    own = [type(module).__name__ for module in model]
    weighted = [module for module in model if isinstance(module, nn.Conv2d | nn.Linear)]
    initialisers = {f"{type(module).__name__}.reset_parameters" for module in weighted}
    norms = [module for module in model if isinstance(module, nn.BatchNorm2d)]
    return {
        "layers": Setting("; ".join(lines), f"Sequential of {len(own)} modules"),
        "parameters": Setting(
            str(sum(parameter.numel() for parameter in model.parameters())), "numel()"
        ),
        "padding of convolutions": Setting(
            _plain({float(m.padding[0]) for m in weighted if isinstance(m, nn.Conv2d)}),
            "the same on each side, Conv2d(padding=)",
        ),
        "layers' own initialiser": Setting(" and ".join(sorted(initialisers)), "kaiming_uniform_"),
        "layout of kernels": Setting("out, in, height, width", "weight of Conv2d and Linear"),
        "order of flattened inputs": Setting("channels, height, width", "nn.Flatten"),
        "running variance of batch normalisation": Setting(
            "unbiased" if norms else "none", f"{len(norms)} BatchNorm2d"
        ),
    }


def _words(module: nn.Module) -> str:
    match module:
        case nn.Conv2d():
            return (
                f"convolution {module.kernel_size[0]}x{module.kernel_size[1]} "
                f"{module.in_channels}->{module.out_channels}, stride {module.stride[0]}, "
                f"padding {module.padding[0]}, bias {module.bias is not None}"
            )
        case nn.Linear():
            return (
                f"dense {module.in_features}->{module.out_features}, bias {module.bias is not None}"
            )
        case nn.MaxPool2d():
            rounded = "up" if module.ceil_mode else "down"
            return (
                f"max pooling {module.kernel_size}x{module.kernel_size}, stride {module.stride}, "
                f"padding {module.padding}, rounded {rounded}"
            )
        case network.AdaptiveAveragePooling():
            return f"average pooling to {module.size}x{module.size}"
        case nn.BatchNorm2d():
            return (
                f"batch normalisation, epsilon {module.eps:g}, "
                f"momentum {1 - (module.momentum or 0):g} of the old, scale and shift {module.affine}"
            )
        case nn.Flatten():
            return "flatten"
        case nn.ReLU():
            return "ReLU"
        case network.MaskedDropout():
            return f"dropout of {module.units} units"
    return type(module).__name__


def _arithmetic(model: nn.Sequential, types: dict[str, torch.dtype]) -> dict[str, Setting]:
    inner = {str(t).removeprefix("torch.") for name, t in types.items() if name != HEAD}
    head = str(types[HEAD]).removeprefix("torch.")
    stored = {str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters()}
    backends = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    subnormal = float(torch.tensor([1e-39]) * torch.tensor([1.0]))
    return {
        "type of the weights": Setting(" and ".join(sorted(stored)), "Parameter.dtype"),
        "arithmetic of the layers": Setting(" and ".join(sorted(inner)), "torch.autocast"),
        "arithmetic of the head": Setting(head, "torch.autocast"),
        "TF32 on GPUs": Setting(
            "on" if any(backends) else "off", f"allow_tf32: matmul, cudnn = {backends}"
        ),
        "numbers below 1.2e-38": Setting("kept" if subnormal else "zero", "1e-39 * 1"),
    }


def _data(job: Job, model: nn.Sequential) -> dict[str, Setting]:
    reduction = inspect.signature(functional.cross_entropy).parameters["reduction"].default
    fill = augmentation.PADDING[job.settings.augmentation.fill]
    dropouts = [
        module for module in model if isinstance(module, nn.Dropout | network.MaskedDropout)
    ]
    smoothing = job.settings.label_smoothing
    return {
        "loss": Setting("cross-entropy of logits", "functional.cross_entropy"),
        "reduction of the loss": Setting(f"{reduction} over the batch", f"reduction={reduction}"),
        "label smoothing": Setting(f"{smoothing:g}", f"label_smoothing={smoothing:g}"),
        "what lies outside an image": Setting(_FILL[fill], f"grid_sample(padding_mode={fill})"),
        "interpolation": Setting(augmentation.INTERPOLATION, "grid_sample"),
        "mean and std of the channels": normalisation_setting(job, "augmentation.transform"),
        "dropout": Setting(
            "given masks"
            if all(isinstance(module, network.MaskedDropout) for module in dropouts)
            else "its own",
            " and ".join(sorted({type(module).__name__ for module in dropouts})) or "none",
        ),
    }


def _process(model: nn.Sequential, job: Job) -> dict[str, Setting]:
    on_gpu = any(parameter.is_cuda for parameter in model.parameters())
    execution = "CUDA graph" if on_gpu and not job.native else "eager"
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled() and not warn_only
    # Channels last: a kernel's channels lie side by side in memory.
    kernel = next((m.weight for m in model if isinstance(m, nn.Conv2d)), None)
    last = kernel is None or kernel.is_contiguous(memory_format=torch.channels_last)
    return {
        "threads of an operation": Setting(str(torch.get_num_threads()), "get_num_threads()"),
        "threads between operations": Setting(
            str(torch.get_num_interop_threads()), "get_num_interop_threads()"
        ),
        "deterministic operations": Setting(
            "yes" if deterministic else "no", "use_deterministic_algorithms"
        ),
        "images in memory": Setting("channels last" if last else "channels first", "memory_format"),
        "execution": Setting(execution, type(model).__name__),
    }
