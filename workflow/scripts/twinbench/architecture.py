"""The nets, each as one table of layers from which every framework builds.

Shapes are (height, width, channels) of one image. ReLU follows every convolution and every dense
layer but the last, the head, whose outputs are the logits.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Convolution:
    name: str
    filters: int
    kernel_size: int
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class MaxPooling:
    name: str
    size: int
    stride: int


@dataclass(frozen=True)
class AdaptiveAveragePooling:
    """Average over `size` x `size` equal parts of the image, whatever its size."""

    name: str
    size: int


@dataclass(frozen=True)
class Flatten:
    name: str


@dataclass(frozen=True)
class Dropout:
    """The rate is a setting of the training, not of the net."""

    name: str


@dataclass(frozen=True)
class Dense:
    name: str
    units: int


Layer = Convolution | MaxPooling | AdaptiveAveragePooling | Flatten | Dropout | Dense

HEAD = "head"


@dataclass(frozen=True)
class Architecture:
    """A net without its head: `layers`, and what it expects of its input.

    `normalisation` is one of `protocol.NORMALISATIONS`; `input_size` the default side in pixels,
    `smallest_input` the least side at which no layer's output vanishes. `pretrained` tells whether
    the field publishes ImageNet weights for it.
    """

    name: str
    title: str
    layers: tuple[Layer, ...]
    normalisation: str
    input_size: int
    smallest_input: int
    pretrained: bool

    def with_head(self, classes: int) -> tuple[Layer, ...]:
        return (*self.layers, Dense(HEAD, classes))

    @property
    def takes_any_size(self) -> bool:
        """Whether the same weights serve images of any size."""
        return any(isinstance(layer, AdaptiveAveragePooling) for layer in self.layers)

    def weighted_layers(self) -> list[str]:
        """The names of the layers that have weights, the head last."""
        names = [layer.name for layer in self.layers if isinstance(layer, Convolution | Dense)]
        return [*names, HEAD]


def shapes(
    layers: tuple[Layer, ...], input_size: int
) -> Iterator[tuple[Layer, tuple[int, ...], tuple[int, ...]]]:
    """Each layer with the shape that goes in and the shape that comes out, without the batch."""
    shape: tuple[int, ...] = (input_size, input_size, 3)
    for layer in layers:
        result = _output_shape(layer, shape)
        yield layer, shape, result
        shape = result


def kernel_shape(layer: Layer, input_shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of a layer's kernel: convolutions (height, width, in, out), dense (in, out)."""
    match layer:
        case Convolution():
            return (layer.kernel_size, layer.kernel_size, input_shape[-1], layer.filters)
        case Dense():
            return (input_shape[0], layer.units)
    return None


def _output_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    match layer:
        case Convolution():
            side = (shape[0] + 2 * layer.padding - layer.kernel_size) // layer.stride + 1
            return (side, side, layer.filters)
        case MaxPooling():
            side = (shape[0] - layer.size) // layer.stride + 1
            return (side, side, shape[2])
        case AdaptiveAveragePooling():
            return (layer.size, layer.size, shape[2])
        case Flatten():
            return (shape[0] * shape[1] * shape[2],)
        case Dropout():
            return shape
        case Dense():
            return (layer.units,)


def describe(layers: tuple[Layer, ...], input_size: int) -> list[str]:
    """One line a layer for reports, such as `conv1: 64 filters of 3x3, stride 1 -> 32x32x64`."""
    return [
        f"{layer.name}: {_words(layer)} -> {'x'.join(map(str, output))}"
        for layer, _, output in shapes(layers, input_size)
    ]


def _words(layer: Layer) -> str:
    match layer:
        case Convolution():
            size = f"{layer.kernel_size}x{layer.kernel_size}"
            return f"{layer.filters} filters of {size}, stride {layer.stride}"
        case MaxPooling():
            return f"maximum of {layer.size}x{layer.size}, stride {layer.stride}"
        case AdaptiveAveragePooling():
            return f"average over {layer.size}x{layer.size} parts"
        case Dense():
            return f"{layer.units} units"
    return type(layer).__name__.lower()


def _vgg_block(number: int, convolutions: int, filters: int) -> list[Layer]:
    names = [f"block{number}_conv{index}" for index in range(1, convolutions + 1)]
    return [
        *(Convolution(name, filters, 3, padding=1) for name in names),
        MaxPooling(f"block{number}_pool", 2, 2),
    ]


# Five convolutions, three max-poolings and three dense layers, as in Krizhevsky, Sutskever and
# Hinton 2012, with the kernels and strides that 32x32 pixels leave room for.
ALEXNET32 = Architecture(
    name="alexnet32",
    title="AlexNet for 32x32 pixels",
    layers=(
        Convolution("conv1", 64, 3, padding=1),
        MaxPooling("pool1", 2, 2),
        Convolution("conv2", 192, 3, padding=1),
        MaxPooling("pool2", 2, 2),
        Convolution("conv3", 384, 3, padding=1),
        Convolution("conv4", 256, 3, padding=1),
        Convolution("conv5", 256, 3, padding=1),
        MaxPooling("pool3", 2, 2),
        Flatten("flatten"),
        Dropout("dropout1"),
        Dense("dense1", 4096),
        Dropout("dropout2"),
        Dense("dense2", 4096),
    ),
    normalisation="dataset",
    input_size=32,
    smallest_input=32,
    pretrained=False,
)

# torchvision.models.alexnet, which follows Krizhevsky 2014 ("one weird trick").
ALEXNET = Architecture(
    name="alexnet",
    title="AlexNet (torchvision)",
    layers=(
        Convolution("conv1", 64, 11, stride=4, padding=2),
        MaxPooling("pool1", 3, 2),
        Convolution("conv2", 192, 5, padding=2),
        MaxPooling("pool2", 3, 2),
        Convolution("conv3", 384, 3, padding=1),
        Convolution("conv4", 256, 3, padding=1),
        Convolution("conv5", 256, 3, padding=1),
        MaxPooling("pool3", 3, 2),
        AdaptiveAveragePooling("average", 6),
        Flatten("flatten"),
        Dropout("dropout1"),
        Dense("dense1", 4096),
        Dropout("dropout2"),
        Dense("dense2", 4096),
    ),
    normalisation="imagenet",
    input_size=128,
    smallest_input=63,
    pretrained=True,
)

# keras.applications.VGG16 without its top (Simonyan and Zisserman 2014), averaged into one vector.
VGG16 = Architecture(
    name="vgg16",
    title="VGG16 (Keras, without top)",
    layers=(
        *_vgg_block(1, 2, 64),
        *_vgg_block(2, 2, 128),
        *_vgg_block(3, 3, 256),
        *_vgg_block(4, 3, 512),
        *_vgg_block(5, 3, 512),
        AdaptiveAveragePooling("average", 1),
        Flatten("flatten"),
        Dropout("dropout1"),
    ),
    normalisation="caffe",
    input_size=32,
    smallest_input=32,
    pretrained=True,
)

ARCHITECTURES = {net.name: net for net in (ALEXNET32, ALEXNET, VGG16)}
