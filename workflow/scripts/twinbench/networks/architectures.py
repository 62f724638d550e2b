"""The networks, each as one table of layers from which every backend builds.

To add one, add its table to `ARCHITECTURES`; see docs/extending.md. Shapes are (height, width,
channels) of one image. ReLU follows every convolution and every dense layer but the last, the head,
whose outputs are the logits.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from twinbench.errors import InputError
from twinbench.texts import translatable


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
    """Average over a grid of `size` x `size` equal parts of the image, whatever its size."""

    name: str
    size: int


@dataclass(frozen=True)
class Flatten:
    name: str


@dataclass(frozen=True)
class Dropout:
    """The fraction of dropped units is a training setting, not part of the network."""

    name: str


@dataclass(frozen=True)
class Dense:
    name: str
    units: int


Layer = Convolution | MaxPooling | AdaptiveAveragePooling | Flatten | Dropout | Dense

HEAD = "head"
_SMALLEST_IMAGE = 32  # pixels

# What descriptions of layers are made of, for the report to translate.
WORDS = (
    translatable("filters of"),
    translatable("stride"),
    translatable("max pooling"),
    translatable("average pooling to"),
    translatable("units"),
)


@dataclass(frozen=True)
class PublishedWeights:
    """ImageNet weights that a library publishes for a network: everything twinbench knows about them.

    `backend` names the backend whose library publishes the file: it reads and writes that format.
    `library_name` is the name of the library's own network, a reference for parity; None if it has
    none. `checksum` is an MD5, or the first digits of a SHA-256. `normalisation`, one of
    `recipe.normalisation.NORMALISATIONS`, is what the weights expect of their input. `layer_names`
    maps our layer names to the library's where these differ. `pretraining_size` is the image size,
    in pixels, at which synthetic weights are pretrained.
    """

    backend: str
    library_name: str | None
    url: str
    checksum: str
    normalisation: str
    pretraining_size: int
    layer_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """The file's suffix, by which the library recognises its format."""
        return self.url.rsplit(".", 1)[1]


@dataclass(frozen=True)
class Architecture:
    """A network without its head.

    `input_size` is the default image size in pixels; `published` is None where no ImageNet weights are
    published. Raises `InputError` where the layers make no network.
    """

    name: str
    title: str
    layers: tuple[Layer, ...]
    input_size: int
    published: PublishedWeights | None = None

    def __post_init__(self) -> None:
        if problem := _problem(self.layers, self.input_size):
            raise InputError(
                f"network {self.name}: {problem}; correct its table (docs/extending.md)"
            )

    def with_head(self, classes: int) -> tuple[Layer, ...]:
        return (*self.layers, Dense(HEAD, classes))

    @property
    def smallest_input(self) -> int:
        """The smallest image size, of 32 pixels and more, at which no layer's output is empty."""
        return next(size for size in count(_SMALLEST_IMAGE) if not _empty(self.layers, size))

    @property
    def takes_any_size(self) -> bool:
        """Whether the same weights serve images of any size."""
        return any(isinstance(layer, AdaptiveAveragePooling) for layer in self.layers)

    def weighted_layers(self) -> list[str]:
        """The names of the layers that have weights, the head last."""
        names = [layer.name for layer in self.layers if isinstance(layer, Convolution | Dense)]
        return [*names, HEAD]


def _problem(layers: tuple[Layer, ...], input_size: int) -> str | None:
    """Why the layers make no network, if they make none."""
    names = [layer.name for layer in layers]
    for name in names:
        # Backends call what follows a layer conv1_relu and conv1_normalisation.
        taken = name == HEAD or name.endswith(("_relu", "_normalisation")) or names.count(name) > 1
        if taken or not re.fullmatch("[a-z][a-z0-9_]*", name):
            return (
                f"{name!r} cannot be a layer's name; use lower-case letters, digits and _, each name once, "
                f"none of them {HEAD}, ..._relu or ..._normalisation"
            )
    for layer in layers:
        for key, value in vars(layer).items():
            least = 0 if key == "padding" else 1
            if key != "name" and (type(value) is not int or value < least):
                return f"{key} of {layer.name} is {value!r}, not a whole number from {least} on"
    if type(input_size) is not int or input_size < _SMALLEST_IMAGE:
        return f"its input_size is no number of pixels from {_SMALLEST_IMAGE} on"
    # Images before it, features behind it.
    kinds = [
        isinstance(layer, Dropout | Dense) for layer in layers if not isinstance(layer, Flatten)
    ]
    places = [place for place, layer in enumerate(layers) if isinstance(layer, Flatten)]
    if places != [kinds.count(False)] or kinds != sorted(kinds):
        return "it needs one Flatten, behind all convolutions and pooling, before all Dropout and Dense"
    if empty := _empty(layers, input_size):
        return f"with images of {input_size} pixels the output of {empty} is empty"
    return None


def _empty(layers: tuple[Layer, ...], input_size: int) -> str | None:
    """The first layer whose output is empty for images of this size."""
    found = (layer.name for layer, _, output in shapes(layers, input_size) if min(output) < 1)
    return next(found, None)


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
            size = (shape[0] + 2 * layer.padding - layer.kernel_size) // layer.stride + 1
            return (size, size, layer.filters)
        case MaxPooling():
            size = (shape[0] - layer.size) // layer.stride + 1
            return (size, size, shape[2])
        case AdaptiveAveragePooling():
            return (layer.size, layer.size, shape[2])
        case Flatten():
            return (shape[0] * shape[1] * shape[2],)
        case Dropout():
            return shape
        case Dense():
            return (layer.units,)


def describe(layers: tuple[Layer, ...], input_size: int) -> list[str]:
    """One line per layer for reports, such as `conv1: 64 filters of 3x3, stride 1 -> 32x32x64`."""
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
            return f"max pooling {layer.size}x{layer.size}, stride {layer.stride}"
        case AdaptiveAveragePooling():
            return f"average pooling to {layer.size}x{layer.size}"
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
    title=translatable("AlexNet for 32x32 pixels"),
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
    input_size=32,
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
    input_size=128,
    published=PublishedWeights(
        backend="pytorch",
        library_name="alexnet",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        checksum="7be5be79",
        normalisation="imagenet",
        pretraining_size=64,
        layer_names={
            "conv1": "features.0",
            "conv2": "features.3",
            "conv3": "features.6",
            "conv4": "features.8",
            "conv5": "features.10",
            "dense1": "classifier.1",
            "dense2": "classifier.4",
            HEAD: "classifier.6",
        },
    ),
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
    input_size=32,
    published=PublishedWeights(
        backend="tensorflow",
        library_name="VGG16",
        url="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        checksum="6d6bbae143d832006294945121d1f1fc",
        normalisation="caffe",
        pretraining_size=32,
    ),
)

ARCHITECTURES = {network.name: network for network in (ALEXNET32, ALEXNET, VGG16)}
