"""How pixels become the network's input."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Normalisation:
    """Pixels p (0-255, RGB) become `(p[channels] - mean) / std`."""

    channels: tuple[int, int, int]
    mean: np.ndarray
    std: np.ndarray


_RGB = (0, 1, 2)
# Per channel, on the 0-255 scale, in the order in which the network wants its channels.
# torchvision: weights.AlexNet_Weights.IMAGENET1K_V1.transforms(); Keras: vgg16.preprocess_input.
_PUBLISHED = {
    "imagenet": Normalisation(
        _RGB, np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
    ),
    "caffe": Normalisation((2, 1, 0), np.array([103.939, 116.779, 123.68]), np.ones(3)),
}
NORMALISATIONS = ("dataset", *_PUBLISHED)


def normalisation(name: str, mean: np.ndarray, std: np.ndarray) -> Normalisation:
    """The normalisation called `name`; `mean` and `std` are the data set's, per channel, on 0-1."""
    if name == "dataset":
        return Normalisation(_RGB, np.asarray(mean) * 255, np.asarray(std) * 255)
    return _PUBLISHED[name]
