"""TensorFlow's part in the parity ladder: see `twinbench.parity.Measurable` and `Library`."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras.applications import vgg16

from twinbench import protocol
from twinbench.parity import Reference, Setting
from twinbench.protocol import Phase, Weights
from twinbench.tensorflow import audit, network
from twinbench.tensorflow.arm import TensorFlowArm


class MeasuredArm(TensorFlowArm):
    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for images, labels in self._batches(epoch, first_step):
            yield images.numpy(), np.argmax(labels, axis=1)

    def loss_and_gradients(self, phase: Phase, epoch: int, step: int) -> tuple[float, Weights]:
        images, labels = next(iter(self._batches(epoch, step)))
        network.set_dropout(self._network, self._job, epoch, step)
        trained = network.named_variables(self._network, trainable=True)
        with tf.GradientTape() as tape:
            outputs = self._network(images, training=True)
            loss = self._network.compute_loss(images, labels, outputs)
        gradients = tape.gradient(loss, [variable.value for variable in trained.values()])
        return float(loss), {
            name: gradient.numpy() for name, gradient in zip(trained, gradients, strict=True)
        }

    def update(self, phase: Phase, epoch: int, step: int, gradients: Weights) -> None:
        job, optimiser = self._job, self._network.optimizer
        schedule = job.settings["schedule"]
        optimiser.learning_rate.assign(
            protocol.learning_rate(phase, epoch, step, job.steps_per_epoch, schedule)
        )
        trained = network.named_variables(self._network, trainable=True)
        optimiser.apply([tf.constant(gradients[name]) for name in trained], list(trained.values()))

    def describe(self) -> dict[str, Setting]:
        return audit.describe(self._job, self._network)


def library(model: str, official: Path, images: np.ndarray, size: int) -> Reference | None:
    """Keras' own preprocessing, and its own VGG16 with the official file."""
    if model != "vgg16":
        return None
    resized = keras.ops.image.resize(images.astype(np.float32), (size, size), "bilinear")
    pixels = vgg16.preprocess_input(keras.ops.convert_to_numpy(resized).copy())
    net = vgg16.VGG16(
        include_top=False, weights=str(official), input_shape=(size, size, 3), pooling="avg"
    )
    return Reference(pixels, net.predict(pixels, verbose=0))
