"""A network of `networks.architectures` as a `torch.nn.Sequential`, and its weights in and out."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from twinbench.networks import architectures
from twinbench.networks.architectures import HEAD, Architecture, Layer
from twinbench.networks.weights import Weights
from twinbench.recipe.dropout import halves, hashed, hashes_needed, threshold
from twinbench.recipe.initial_weights import (
    BATCH_NORMALISATION_EPSILON,
    BATCH_NORMALISATION_MOMENTUM,
)


class MaskedDropout(nn.Module):
    """Dropout whose mask follows from given keys, so that both frameworks drop the same units.

    `keys`, int32 (2,), belong to one training step: see `recipe.dropout`. Behind `Flatten`, `flattened`
    is the (height, width, channels) that were flattened: masks count units in that order, torch in the
    order channels, height, width.
    """

    def __init__(self, units: int, flattened: tuple[int, ...] | None, rate: float) -> None:
        super().__init__()
        self.units, self.rate = units, rate
        self._flattened = flattened
        self.keys: torch.Tensor | None = None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs * self.mask(inputs) if self.training else inputs

    def mask(self, inputs: torch.Tensor) -> torch.Tensor:
        """As `recipe.dropout.dropout_mask`, in type, shape and order of the inputs."""
        assert self.keys is not None, "no keys were set for this step"
        numbers = torch.arange(
            hashes_needed(inputs.numel()), dtype=torch.int32, device=inputs.device
        )
        values = torch.cat(halves(hashed(numbers, self.keys)))[: inputs.numel()]
        kept = values >= threshold(self.rate)
        if self._flattened:
            kept = kept.reshape(-1, *self._flattened).permute(0, 3, 1, 2)
        return kept.reshape(inputs.shape).to(inputs.dtype) * (1 / (1 - self.rate))


class AdaptiveAveragePooling(nn.Module):
    """As nn.AdaptiveAvgPool2d, whose backward pass adds in no fixed order on GPUs.

    Output cell i of n covers the input from floor(i * size / n) to ceil((i + 1) * size / n).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        pixels = torch.arange(inputs.shape[-1], device=inputs.device)
        cells = torch.arange(self.size, device=inputs.device)[:, None]
        starts = cells * len(pixels) // self.size
        ends = -(-(cells + 1) * len(pixels) // self.size)
        covered = (pixels >= starts) & (pixels < ends)
        weights = (covered / (ends - starts)).to(inputs.dtype)
        return torch.einsum("ih,jw,nchw->ncij", weights, weights, inputs)


class Head(nn.Linear):
    """The last layer: logits are computed in float32 even where the rest computes in bfloat16."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast(inputs.device.type, enabled=False):
            return super().forward(inputs.float())


def build(
    layers: tuple[Layer, ...],
    batch_normalisation: bool,
    input_size: int,
    *,
    dropout: float = 0.0,
    own_masks: bool = False,
) -> nn.Sequential:
    """The network for inputs (batch, 3, input_size, input_size); its outputs are logits.

    `dropout` is the fraction of dropped units. With `own_masks` torch chooses them, otherwise the keys
    of a step do.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for layer, input_shape, flattened in _with_flattened(layers, input_size):
        if isinstance(layer, architectures.Dropout):
            modules[layer.name] = (
                nn.Dropout(dropout)
                if own_masks
                else MaskedDropout(input_shape[0], flattened, dropout)
            )
            continue
        modules[layer.name] = _module(layer, input_shape)
        if isinstance(layer, architectures.Convolution):
            if batch_normalisation:
                modules[f"{layer.name}_normalisation"] = nn.BatchNorm2d(
                    layer.filters,
                    eps=BATCH_NORMALISATION_EPSILON,
                    momentum=1 - BATCH_NORMALISATION_MOMENTUM,
                )
            modules[f"{layer.name}_relu"] = nn.ReLU()
        elif isinstance(layer, architectures.Dense) and layer.name != HEAD:
            modules[f"{layer.name}_relu"] = nn.ReLU()
    return nn.Sequential(modules)


def _with_flattened(
    layers: tuple[Layer, ...], size: int
) -> Iterator[tuple[Layer, tuple[int, ...], tuple[int, ...] | None]]:
    """Each layer, its input's shape, and the shape of which that input is the flattened form."""
    flattened = None
    for layer, input_shape, _ in architectures.shapes(layers, size):
        yield layer, input_shape, flattened
        if isinstance(layer, architectures.Flatten):
            flattened = input_shape
        elif isinstance(layer, architectures.Dense):
            flattened = None


def _module(layer: Layer, input_shape: tuple[int, ...]) -> nn.Module:
    match layer:
        case architectures.Convolution():
            return nn.Conv2d(
                input_shape[-1], layer.filters, layer.kernel_size, layer.stride, layer.padding
            )
        case architectures.MaxPooling():
            return nn.MaxPool2d(layer.size, layer.stride)
        case architectures.AdaptiveAveragePooling():
            return AdaptiveAveragePooling(layer.size)
        case architectures.Flatten():
            return nn.Flatten()
        case architectures.Dense():
            kind = Head if layer.name == HEAD else nn.Linear
            return kind(input_shape[0], layer.units)
    raise TypeError(f"no module for {layer}")


def set_weights(
    network: nn.Sequential, weights: Weights, layers: tuple[Layer, ...], size: int
) -> None:
    """Copy framework-free weights into the network.

    Kernels go from (height, width, in, out) to torch's (out, in, height, width). A dense kernel behind
    `Flatten` has its inputs reordered from height, width, channels to torch's channels, height, width.
    """
    with torch.no_grad():
        for name, parameter, flattened in _named_parameters(network, layers, size):
            parameter.copy_(torch.from_numpy(_to_torch(weights[name], flattened)))


def get_weights(network: nn.Sequential, layers: tuple[Layer, ...], size: int) -> Weights:
    """The inverse of `set_weights`."""
    return {  # copies, since training goes on
        name: np.array(_from_torch(parameter, flattened), order="C")
        for name, parameter, flattened in _named_parameters(network, layers, size)
    }


def set_gradients(
    network: nn.Sequential, gradients: Weights, layers: tuple[Layer, ...], size: int
) -> None:
    """Give parameters gradients, named and laid out as the weights; the others get none."""
    for name, parameter, flattened in _named_parameters(network, layers, size):
        parameter.grad = None
        if name in gradients:
            value = torch.from_numpy(_to_torch(gradients[name], flattened))
            # In the parameter's own memory order, on which the fused optimiser relies.
            parameter.grad = torch.empty_like(parameter).copy_(value)


def get_gradients(network: nn.Sequential, layers: tuple[Layer, ...], size: int) -> Weights:
    """The gradients of the parameters that have one, named and laid out as the weights."""
    return {
        name: _from_torch(parameter.grad, flattened)
        for name, parameter, flattened in _named_parameters(network, layers, size)
        if parameter.grad is not None
    }


def library_names(architecture: Architecture) -> list[tuple[str, str]]:
    """Our name of each tensor, and torchvision's."""
    assert architecture.published is not None
    library = architecture.published.layer_names
    return [
        (f"{layer}.{part}", f"{library.get(layer, layer)}.{part}")
        for layer in architecture.weighted_layers()
        for part in ("weight", "bias")
    ]


def _named_parameters(
    network: nn.Sequential, layers: tuple[Layer, ...], size: int
) -> Iterator[tuple[str, Any, tuple[int, ...] | None]]:
    """Each tensor of the network with its framework-free name, and the shape flattened before it."""
    modules: dict[str, Any] = dict(network.named_children())
    for layer, _, flattened in _with_flattened(layers, size):
        module = modules[layer.name]
        if hasattr(module, "weight"):
            yield f"{layer.name}/kernel", module.weight, flattened
            yield f"{layer.name}/bias", module.bias, None
        if normalisation := modules.get(f"{layer.name}_normalisation"):
            yield f"{layer.name}/gamma", normalisation.weight, None
            yield f"{layer.name}/beta", normalisation.bias, None
            yield f"{layer.name}/mean", normalisation.running_mean, None
            yield f"{layer.name}/variance", normalisation.running_var, None


def _to_torch(value: np.ndarray, flattened: tuple[int, ...] | None) -> np.ndarray:
    """A kernel in torch's layout; a bias stays."""
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)
    if flattened:
        height, width, channels = flattened
        value = value.reshape(height, width, channels, -1).transpose(2, 0, 1, 3)
        value = value.reshape(height * width * channels, -1)
    return value.T


def _from_torch(tensor: torch.Tensor, flattened: tuple[int, ...] | None) -> np.ndarray:
    """The inverse of `_to_torch`. On a CPU a view, but of a dense kernel."""
    value = tensor.detach().cpu()
    if value.ndim == 4:
        return value.permute(2, 3, 1, 0).numpy()
    # In torch, which transposes large matrices several times as fast as NumPy.
    value = value.t().contiguous()
    if flattened:
        height, width, channels = flattened
        value = value.view(channels, height * width, -1).transpose(0, 1)
        value = value.reshape(height * width * channels, -1)
    return value.numpy()
