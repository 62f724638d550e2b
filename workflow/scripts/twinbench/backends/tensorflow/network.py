"""A network of `networks.architectures` as a `keras.Sequential`, and its weights in and out."""

import keras
import numpy as np
import tensorflow as tf

from twinbench.networks import architectures
from twinbench.networks.architectures import HEAD, Layer
from twinbench.networks.weights import Weights
from twinbench.recipe.dropout import halves, hashed, hashes_needed, threshold
from twinbench.recipe.initial_weights import (
    BATCH_NORMALISATION_EPSILON,
    BATCH_NORMALISATION_MOMENTUM,
)


class MaskedDropout(keras.layers.Layer):
    """Dropout whose mask follows from given keys, so that both frameworks drop the same units.

    `keys`, uint32 (2,), belong to one training step and are set before it: see `recipe.dropout`. Saved
    models have Keras' own layer in its place.
    """

    def __init__(self, units: int, rate: float, **arguments) -> None:
        super().__init__(**arguments)
        self.units, self.rate = units, rate
        self.keys: tf.Tensor | None = None

    def call(self, inputs, training: bool = False):
        return inputs * self.mask(inputs) if training else inputs

    def mask(self, inputs: tf.Tensor) -> tf.Tensor:
        """As `recipe.dropout.dropout_mask`, in type and shape of the inputs."""
        size = inputs.shape.num_elements()
        numbers = tf.constant(np.arange(hashes_needed(size), dtype=np.uint32))
        shift = tf.bitwise.right_shift
        values = tf.concat(halves(hashed(numbers, self.keys, shift), shift), axis=0)[:size]
        kept = tf.reshape(values >= threshold(self.rate), inputs.shape)
        return tf.cast(kept, inputs.dtype) * (1 / (1 - self.rate))


class AdaptiveAveragePooling(keras.layers.Layer):
    """As torch.nn.AdaptiveAvgPool2d; Keras 3.15's own fails on images smaller than its output.

    Saved models have layers of Keras in its place.
    Output cell i of n covers the input from floor(i * size / n) to ceil((i + 1) * size / n).
    """

    def __init__(self, size: int, **arguments) -> None:
        super().__init__(**arguments)
        self.size = size

    def call(self, inputs):
        ops = keras.ops
        size = ops.shape(inputs)[1]  # not known while a graph for any size is built
        cells, pixels = ops.arange(self.size)[:, None], ops.arange(size)[None]
        starts, ends = cells * size // self.size, -(-(cells + 1) * size // self.size)
        covered = ops.logical_and(pixels >= starts, pixels < ends)
        weights = ops.cast(covered, "float32") / ops.cast(ends - starts, "float32")
        weights = ops.cast(weights, inputs.dtype)
        return ops.einsum("ih,jw,nhwc->nijc", weights, weights, inputs)


def build(
    layers: tuple[Layer, ...],
    batch_normalisation: bool,
    input_size: int,
    *,
    dropout: float,
    own_masks: bool = False,
    any_size: bool = False,
    to_exchange: bool = False,
) -> keras.Sequential:
    """The network for inputs (batch, input_size, input_size, 3); its outputs are float32 logits.

    `dropout` is the fraction of dropped units. With `own_masks` Keras chooses them, otherwise the keys
    of a step do. With `any_size` the network takes images of other sizes too. `to_exchange`, it consists
    of Keras' own layers alone.
    """
    size = None if any_size else input_size
    network = [keras.Input((size, size, 3))]
    for layer, input_shape, _ in architectures.shapes(layers, input_size):
        if isinstance(layer, architectures.Dropout):
            network.append(
                keras.layers.Dropout(dropout, name=layer.name)
                if own_masks
                else MaskedDropout(input_shape[0], dropout, name=layer.name)
            )
            continue
        if (
            to_exchange
            and isinstance(layer, architectures.AdaptiveAveragePooling)
            and layer.size > 1  # for a single cell Keras has a layer
        ):
            network += _fixed_pooling(layer, input_shape)
            continue
        network += _layers(layer, own_masks)
        if isinstance(layer, architectures.Convolution):
            if batch_normalisation:
                network.append(
                    keras.layers.BatchNormalization(
                        epsilon=BATCH_NORMALISATION_EPSILON,
                        momentum=BATCH_NORMALISATION_MOMENTUM,
                        name=f"{layer.name}_normalisation",
                    )
                )
            network.append(keras.layers.ReLU(name=f"{layer.name}_relu"))
        elif isinstance(layer, architectures.Dense) and layer.name != HEAD:
            network.append(keras.layers.ReLU(name=f"{layer.name}_relu"))
    return keras.Sequential(network)


def _layers(layer: Layer, initialised: bool) -> list[keras.layers.Layer]:
    """The Keras layers of a layer; where weights will be set anyway, they need not be `initialised`."""
    initialiser = "glorot_uniform" if initialised else "zeros"
    match layer:
        case architectures.Convolution():
            # Keras' own "same" pads unevenly at strides over 1; torch pads evenly, so zeros are added.
            same = layer.stride == 1 and 2 * layer.padding == layer.kernel_size - 1
            padding = [] if same else [keras.layers.ZeroPadding2D(layer.padding)]
            convolution = keras.layers.Conv2D(
                layer.filters,
                layer.kernel_size,
                layer.stride,
                padding="same" if same else "valid",
                kernel_initializer=initialiser,
                name=layer.name,
            )
            return [*padding, convolution]
        case architectures.MaxPooling():
            return [keras.layers.MaxPooling2D(layer.size, layer.stride, name=layer.name)]
        case architectures.AdaptiveAveragePooling():
            if layer.size == 1:
                return [keras.layers.GlobalAveragePooling2D(keepdims=True, name=layer.name)]
            return [AdaptiveAveragePooling(layer.size, name=layer.name)]
        case architectures.Flatten():
            return [keras.layers.Flatten(name=layer.name)]
        case architectures.Dense():
            # Logits leave in float32 even where the rest computes in bfloat16.
            dtype = "float32" if layer.name == HEAD else None
            return [
                keras.layers.Dense(
                    layer.units, kernel_initializer=initialiser, dtype=dtype, name=layer.name
                )
            ]
    raise TypeError(f"no Keras layer for {layer}")


def _fixed_pooling(
    layer: architectures.AdaptiveAveragePooling, input_shape: tuple[int, ...]
) -> list[keras.layers.Layer]:
    """Average pooling to a grid, for inputs of one size, as products with a fixed matrix each way."""
    height, width, channels = input_shape
    return [
        keras.layers.EinsumDense(
            equation,
            output_shape,
            kernel_initializer=keras.initializers.Constant(_pooling_matrix(pixels, layer.size)),
            trainable=False,
            name=f"{layer.name}_{name}",
        )
        for name, equation, pixels, output_shape in (
            ("rows", "nhwc,ih->niwc", height, (layer.size, width, channels)),
            ("columns", "niwc,jw->nijc", width, (layer.size, layer.size, channels)),
        )
    ]


def _pooling_matrix(pixels: int, cells: int) -> list[list[float]]:
    """How much of each pixel is in each cell, (cells, pixels): see `AdaptiveAveragePooling`."""
    cell, pixel = np.arange(cells)[:, None], np.arange(pixels)
    starts, ends = cell * pixels // cells, -(-(cell + 1) * pixels // cells)
    return (((pixel >= starts) & (pixel < ends)) / (ends - starts)).tolist()


def set_weights(network: keras.Sequential, weights: Weights) -> None:
    """Copy framework-free weights into the network; Keras' layout is the framework-free one."""
    for name, variable in named_variables(network).items():
        variable.assign(weights[name])


def get_weights(network: keras.Sequential) -> Weights:
    """The inverse of `set_weights`."""
    return {name: to_array(variable) for name, variable in named_variables(network).items()}


def to_array(variable: keras.Variable) -> np.ndarray:
    """A copy of a variable's value, since training goes on."""
    return np.array(variable.value.numpy())


_NORMALISATION_PARTS = {
    "gamma": "gamma",
    "beta": "beta",
    "mean": "moving_mean",
    "variance": "moving_variance",
}


def named_variables(
    network: keras.Sequential, trainable: bool = False
) -> dict[str, keras.Variable]:
    """The network's variables by their framework-free names: all, or those that are trained."""
    found = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            found[f"{layer.name}/kernel"] = layer.kernel
            found[f"{layer.name}/bias"] = layer.bias
        elif isinstance(layer, keras.layers.BatchNormalization):
            name = layer.name.removesuffix("_normalisation")
            for part, attribute in _NORMALISATION_PARTS.items():
                found[f"{name}/{part}"] = getattr(layer, attribute)
    trained = {id(variable) for variable in network.trainable_variables}
    return {n: v for n, v in found.items() if not trainable or id(v) in trained}
