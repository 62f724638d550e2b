"""Normalisation, and the one affine warp that rotates, shifts, flips and resizes."""

import tensorflow as tf

from twinbench.protocol import Normalisation

_FILL = {"nearest": "NEAREST", "zeros": "CONSTANT"}  # zero is the mean colour after normalisation


def prepare(
    images: tf.Tensor,
    matrices: tf.Tensor,
    normalisation: Normalisation,
    output_size: int,
    fill: str,
) -> tf.Tensor:
    """What the net gets: float32 (batch, output_size, output_size, 3).

    `images` are uint8 (batch, height, width, 3), `matrices` float32 (batch, 2, 3) as of
    `protocol.augmentation_matrices`. Pixels are read bilinearly; `fill` (`nearest` or `zeros`) says
    what lies outside the image.
    """
    pixels = tf.cast(tf.gather(images, normalisation.channels, axis=-1), tf.float32)
    mean = tf.constant(normalisation.mean, tf.float32)
    deviation = tf.constant(normalisation.deviation, tf.float32)
    # The operation wants a projective map as eight numbers; the last two are 0 in an affine one.
    transforms = tf.pad(tf.reshape(matrices, (-1, 6)), [[0, 0], [0, 2]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=(pixels - mean) / deviation,
        transforms=transforms,
        output_shape=(output_size, output_size),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=_FILL[fill],
    )
