"""The usual Keras script: `Sequential`, compiled, and `fit`.

The same network as `alexnet32` and the same augmentation, written as tutorials write it: with an
`ImageDataGenerator` in float32 and batches of 64, or, tuned as Keras' guides advise, with Keras' layers
in `tf.data`, mixed bfloat16, batches of 128 and many steps per execution. The benchmark compares with
it; the workflow does not use it.
"""

import time

import twinbench.backends.tensorflow  # noqa: F401, before keras: finds the GPU's libraries

# isort: split
import keras
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator  # where Keras 3 keeps it
from measuring import noise

_STEPS_PER_EXECUTION = 20


def network() -> keras.Model:
    def convolution(filters: int) -> keras.Layer:
        return keras.layers.Conv2D(filters, 3, padding="same", activation="relu")

    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            convolution(64),
            keras.layers.MaxPooling2D(),
            convolution(192),
            keras.layers.MaxPooling2D(),
            convolution(384),
            convolution(256),
            convolution(256),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(4096, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(4096, activation="relu"),
            keras.layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


class StepTimes(keras.callbacks.Callback):
    """How many steps were done when, by Keras' count."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[tuple[int, float]] = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append((batch + 1, time.perf_counter()))


class Script:
    """A training as the script does it."""

    def __init__(self, tuned: bool) -> None:
        self.batch_size = 128 if tuned else 64
        self.precision = "bfloat16" if tuned else "float32"
        self._tuned = tuned
        self._steps_per_execution = _STEPS_PER_EXECUTION if tuned else 1
        keras.config.set_dtype_policy("mixed_bfloat16" if tuned else "float32")
        self._model = network()
        # jit_compile is left at Keras' "auto": XLA where it supports the model.
        self._model.compile(
            "adam",
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            steps_per_execution=self._steps_per_execution,
        )

    @property
    def device(self) -> str:
        gpus = tf.config.list_physical_devices("GPU")
        if not gpus:
            return "cpu"
        return tf.config.experimental.get_device_details(gpus[0])["device_name"]

    def images_per_second(self, images: int, warm_up: int) -> float:
        """Speed of training on these and evaluating a ninth as many, without the first steps."""
        images = self._steps(images) * self.batch_size
        split = noise(images)
        data = self._pipeline(split) if self._tuned else self._generator(split)
        training = self._train(data, warm_up)
        held_out = noise(images // 9)
        inputs = held_out.images / 255.0
        size = self.batch_size
        self._model.evaluate(inputs[:size], held_out.labels[:size], verbose=0)  # builds its graph
        start = time.perf_counter()
        self._model.evaluate(inputs, held_out.labels, batch_size=size, verbose=0)
        validation = (time.perf_counter() - start) / len(held_out)
        return 1 / (training + validation / 9)

    def steps_images_per_second(self, images: int, warm_up: int) -> float:
        """Speed of the training steps alone, with a batch that is in memory already."""
        split = noise(self.batch_size)
        batch = tf.data.Dataset.from_tensors((tf.constant(split.images / 255.0), split.labels))
        steps = batch.cache().repeat(self._steps(images)).prefetch(tf.data.AUTOTUNE)
        return 1 / self._train(steps, warm_up)

    def _steps(self, images: int) -> int:
        """Whole executions alone: Keras counts a shorter last one as if it were whole."""
        steps = images // self.batch_size
        return steps - steps % self._steps_per_execution

    def _train(self, data, warm_up: int) -> float:
        """Seconds for each image."""
        steps = StepTimes()
        self._model.fit(data, epochs=1, verbose=0, callbacks=[steps])
        first, earlier = next(mark for mark in steps.times if mark[0] >= warm_up)
        last, later = steps.times[-1]
        if last == first:
            raise SystemExit(f"{last} steps are too few to be timed; give more images")
        return (later - earlier) / ((last - first) * self.batch_size)

    def _generator(self, split):
        generator = ImageDataGenerator(
            rotation_range=15, width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True
        )
        return generator.flow(split.images / 255.0, split.labels, batch_size=self.batch_size)

    def _pipeline(self, split) -> tf.data.Dataset:
        augmentation = keras.Sequential(
            [
                keras.layers.Rescaling(1 / 255, dtype="float32"),
                keras.layers.RandomFlip("horizontal", dtype="float32"),
                keras.layers.RandomRotation(15 / 360, dtype="float32"),
                keras.layers.RandomTranslation(0.1, 0.1, dtype="float32"),
            ]
        )
        return (
            tf.data.Dataset.from_tensor_slices((split.images, split.labels))
            .shuffle(10_000)
            .batch(self.batch_size, drop_remainder=True)
            .map(
                lambda images, labels: (augmentation(images, training=True), labels),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            .prefetch(tf.data.AUTOTUNE)
        )
