"""How pixels become the network's input."""

from dataclasses import dataclass

import numpy as np

# Per channel, on the 0-255 scale, in the order in which the network wants its channels.
# torchvision: weights.AlexNet_Weights.IMAGENET1K_V1.transforms(); Keras: vgg16.preprocess_input.
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406]) * 255
_IMAGENET_STD = np.array([0.229, 0.224, 0.225]) * 255
_CAFFE_MEAN = np.array([103.939, 116.779, 123.68])
NORMALISATIONS = ("dataset", "imagenet", "caffe")


@dataclass(frozen=True)
class Normalisation:
    """Pixels p (0-255, RGB) become `(p[channels] - mean) / std`."""

    channels: tuple[int, int, int]
    mean: np.ndarray
    std: np.ndarray


def normalisation(name: str, mean: np.ndarray, std: np.ndarray) -> Normalisation:
    """The normalisation called `name`; `mean` and `std` are the data set's, per channel, on 0-1."""
    rgb = (0, 1, 2)
    match name:
        case "dataset":
            return Normalisation(rgb, np.asarray(mean) * 255, np.asarray(std) * 255)
        case "imagenet":
            return Normalisation(rgb, _IMAGENET_MEAN, _IMAGENET_STD)
        case "caffe":
            return Normalisation((2, 1, 0), _CAFFE_MEAN, np.ones(3))
    raise ValueError(f"no normalisation {name!r}")
