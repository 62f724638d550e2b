"""Layers forwards and backwards.

A layer returns its outputs, and a function that takes their gradient to that of the inputs and of its
tensors.
"""

from collections.abc import Callable, Iterator

import numpy as np
from twinbench.networks.architectures import (
    HEAD,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPooling,
)
from twinbench.networks.weights import Weights

Backward = Callable[[np.ndarray], tuple[np.ndarray, Weights]]
Result = tuple[np.ndarray, Backward]


def forward(
    layers: tuple[Layer, ...], weights: Weights, values: np.ndarray, masks: Iterator[np.ndarray]
) -> tuple[np.ndarray, list[Backward], dict[str, float]]:
    """Logits, the layers' backward functions, and the fraction of dead units of each ReLU layer.

    `masks` are those of the dropout layers; where they have run out, nothing is dropped.
    """
    backwards, dead = [], {}
    for layer in layers:
        match layer:
            case Convolution():
                values, back = _convolution(values, layer, weights)
            case MaxPooling():
                values, back = _maximum(values, layer.size, layer.stride)
            case Flatten():
                values, back = _flat(values)
            case Dropout():
                values, back = _product(values, next(masks, np.float32(1)))
            case Dense():
                values, back = _dense(values, layer.name, weights)
        backwards.append(back)
        if isinstance(layer, Convolution | Dense) and layer.name != HEAD:
            active = values > 0
            values, back = _product(values, active)
            backwards.append(back)
            dead[layer.name] = float(1 - active.any(axis=tuple(range(active.ndim - 1))).mean())
    return values, backwards, dead


def gradients(backwards: list[Backward], gradient: np.ndarray) -> Weights:
    """The gradients of all tensors, from that of the logits."""
    found: Weights = {}
    for back in reversed(backwards):
        gradient, own = back(gradient)
        found |= own
    return found


def _product(values: np.ndarray, factor: np.ndarray) -> Result:
    return values * factor, lambda gradient: (gradient * factor, {})


def _flat(values: np.ndarray) -> Result:
    return values.reshape(len(values), -1), lambda gradient: (gradient.reshape(values.shape), {})


def _dense(values: np.ndarray, name: str, weights: Weights) -> Result:
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]

    def back(gradient: np.ndarray) -> tuple[np.ndarray, Weights]:
        own = {f"{name}/kernel": values.T @ gradient, f"{name}/bias": gradient.sum(axis=0)}
        return gradient @ kernel.T, own

    return values @ kernel + bias, back


def _convolution(values: np.ndarray, layer: Convolution, weights: Weights) -> Result:
    kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
    size, stride, pad = layer.kernel_size, layer.stride, layer.padding
    padded = np.pad(values, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    windows = _windows(padded, size, stride)
    count, height, width = windows.shape[:3]
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(count * height * width, -1)
    flat = kernel.reshape(-1, layer.filters)

    def back(gradient: np.ndarray) -> tuple[np.ndarray, Weights]:
        gradient = gradient.reshape(-1, layer.filters)
        own = {
            f"{layer.name}/kernel": (columns.T @ gradient).reshape(kernel.shape),
            f"{layer.name}/bias": gradient.sum(axis=0),
        }
        spread = (gradient @ flat.T).reshape(count, height, width, size, size, -1)
        result = np.zeros_like(padded)
        for row, column in np.ndindex(size, size):
            rows = slice(row, row + stride * height, stride)
            columns_of_image = slice(column, column + stride * width, stride)
            result[:, rows, columns_of_image] += spread[:, :, :, row, column]
        inside = slice(pad, padded.shape[1] - pad)
        return result[:, inside, inside], own

    return (columns @ flat + bias).reshape(count, height, width, -1), back


def _maximum(values: np.ndarray, size: int, stride: int) -> Result:
    windows = _windows(values, size, stride)
    flat = windows.reshape(*windows.shape[:4], -1)
    chosen = flat.argmax(axis=-1)

    def back(gradient: np.ndarray) -> tuple[np.ndarray, Weights]:
        result = np.zeros_like(values)
        image, row, column, channel = np.indices(chosen.shape)
        rows, columns = row * stride + chosen // size, column * stride + chosen % size
        np.add.at(result, (image, rows, columns, channel), gradient)
        return result, {}

    return np.take_along_axis(flat, chosen[..., None], axis=-1)[..., 0], back


def _windows(values: np.ndarray, size: int, stride: int) -> np.ndarray:
    """A view (images, height, width, channels, size, size)."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride]
