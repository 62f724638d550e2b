"""Normalisation, and the affine transform that rotates, shifts, flips and resizes."""

import keras
import tensorflow as tf

from twinbench.config.training import Augmentation
from twinbench.recipe.normalisation import Normalisation

INTERPOLATION = "BILINEAR"
FILL = {"nearest": "NEAREST", "zeros": "CONSTANT"}  # zero is the mean colour after normalisation


def transform(
    images: tf.Tensor,
    matrices: tf.Tensor,
    normalisation: Normalisation,
    output_size: int,
    fill: str,
) -> tf.Tensor:
    """The network's input: float32 (batch, output_size, output_size, 3).

    `images` are uint8 (batch, height, width, 3), `matrices` float32 (batch, 2, 3) as of
    `recipe.augmentation_matrices`. Interpolation is bilinear; `fill` (`nearest` or `zeros`) is what
    lies outside the image.
    """
    # The operation wants a projective map as eight numbers; the last two are 0 in an affine one.
    transforms = tf.pad(tf.reshape(matrices, (-1, 6)), [[0, 0], [0, 2]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=_normalised(images, normalisation),
        transforms=transforms,
        output_shape=(output_size, output_size),
        fill_value=0.0,
        interpolation=INTERPOLATION,
        fill_mode=FILL[fill],
    )


def native_layers(
    normalisation: Normalisation, output_size: int, augmentation: Augmentation
) -> list[keras.layers.Layer]:
    """As `transform`, the way Keras does it by default: layers that augment in training.

    In evaluation they only resize and normalise.
    """
    shift = augmentation.shift_fraction
    flip = (
        [keras.layers.RandomFlip("horizontal", dtype="float32")]
        if augmentation.horizontal_flip
        else []
    )
    scale = augmentation.scale_fraction
    # A fraction of the size that is shown; torch's is one of the scale. Each its own way.
    zoom = [keras.layers.RandomZoom(scale, dtype="float32")] if scale else []
    return [
        *flip,
        keras.layers.RandomRotation(augmentation.rotation_degrees / 360, dtype="float32"),
        keras.layers.RandomTranslation(shift, shift, dtype="float32"),
        *zoom,
        keras.layers.Resizing(output_size, output_size, dtype="float32"),
        Normalise(normalisation),
    ]


class Normalise(keras.layers.Layer):
    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__(name="normalise", dtype="float32")
        self._normalisation = normalisation

    def call(self, inputs):
        return _normalised(inputs, self._normalisation)


def _normalised(images: tf.Tensor, normalisation: Normalisation) -> tf.Tensor:
    """Images (batch, height, width, 3) as float32, channels in the network's order."""
    # In this order, since TensorFlow cannot gather bytes on a GPU.
    pixels = tf.gather(tf.cast(images, tf.float32), normalisation.channels, axis=-1)
    mean = tf.constant(normalisation.mean, tf.float32)
    return (pixels - mean) / tf.constant(normalisation.std, tf.float32)
