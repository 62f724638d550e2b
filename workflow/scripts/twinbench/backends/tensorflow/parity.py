"""What the parity suite needs of TensorFlow: see `twinbench.parity.measuring`."""

from importlib import import_module
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf

from twinbench.backends.tensorflow import audit, network
from twinbench.backends.tensorflow.backend import Backend, plan_tensors
from twinbench.backends.tensorflow.weights import layer_names, read_published
from twinbench.networks.architectures import Architecture
from twinbench.networks.weights import Weights
from twinbench.parity.measuring import LibraryReference, Setting
from twinbench.recipe.epoch_plan import EpochPlan


class ParityBackend(Backend):
    def batch(self, plan: EpochPlan, step: int) -> tuple[np.ndarray, np.ndarray]:
        images, labels = self._batch(plan_tensors(plan), step, plan.input_size)
        return images.numpy(), np.argmax(labels, axis=1)

    def loss_and_gradients(self, plan: EpochPlan, step: int) -> tuple[float, Weights]:
        tensors = plan_tensors(plan)
        images, labels = self._batch(tensors, step, plan.input_size)
        self._set_step(tensors, step)
        trained = network.named_variables(self._network, trainable=True)
        with tf.GradientTape() as tape:
            outputs = self._network(images, training=True)
            loss = self._network.loss(labels, outputs)
        gradients = tape.gradient(loss, [variable.value for variable in trained.values()])
        return float(loss), {
            name: gradient.numpy() for name, gradient in zip(trained, gradients, strict=True)
        }

    def update(self, plan: EpochPlan, step: int, gradients: Weights) -> None:
        self._set_step(plan_tensors(plan), step)
        trained = network.named_variables(self._network, trainable=True)
        self._network.optimizer.apply(
            [tf.constant(gradients[name]) for name in trained], list(trained.values())
        )

    def describe(self) -> dict[str, Setting]:
        return audit.describe(self._job, self._network, self._metric_sums)


def library_reference(
    architecture: Architecture, published: Path, images: np.ndarray, size: int
) -> LibraryReference:
    """Keras' own preprocessing, and its own network with the published file."""
    assert architecture.published is not None and architecture.published.library_name is not None
    name = architecture.published.library_name
    module = import_module(f"keras.applications.{name.lower()}")
    resized = keras.ops.image.resize(images.astype(np.float32), (size, size), "bilinear")
    pixels = module.preprocess_input(keras.ops.convert_to_numpy(resized).copy())
    library = getattr(module, name)(
        include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg"
    )
    if _is_librarys_own(published):
        library.load_weights(str(published), by_name=True)  # which leaves out a head
    else:
        weights = read_published(published, architecture)
        for layer, theirs in layer_names(architecture):
            values = [weights[f"{layer}/kernel"], weights[f"{layer}/bias"]]
            library.get_layer(theirs).set_weights(values)
    return LibraryReference(pixels, library.predict(pixels, verbose=0))


def _is_librarys_own(path: Path) -> bool:
    """Whether Keras' network reads the file itself: with a group for each layer, by its name. What it does
    with a file depends on the file's name."""
    if path.suffix != ".h5" or path.name.endswith(".weights.h5"):
        return False
    with h5py.File(path) as file:
        return "layer_names" in file.attrs
