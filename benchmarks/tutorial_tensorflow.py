"""The usual Keras script: `Sequential`, `ImageDataGenerator`, `fit`, float32, batch 64.

The same network as `alexnet32` and the same augmentation, written as tutorials write it. The benchmark
compares with it; the workflow does not use it.
"""

import time

import keras
from keras.src.legacy.preprocessing.image import ImageDataGenerator  # where Keras 3 keeps it
from twinbench.data.synthetic import generate_split

BATCH = 64


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
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


class StepTimes(keras.callbacks.Callback):
    """When each step ended."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())


def images_per_second(images: int, warm_up: int) -> float:
    """Speed of training on these and evaluating a ninth as many, without the first steps."""
    images -= images % BATCH
    split, held_out = generate_split("target", images, 1), generate_split("target", images // 9, 2)
    generator = ImageDataGenerator(
        rotation_range=15, width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True
    )
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    steps = StepTimes()
    flow = generator.flow(split.images / 255.0, split.labels, batch_size=BATCH)
    model.fit(flow, epochs=1, verbose=0, callbacks=[steps])
    counted = (len(steps.times) - warm_up) * BATCH
    training = (steps.times[-1] - steps.times[warm_up - 1]) / counted
    inputs = held_out.images / 255.0
    model.evaluate(inputs[:BATCH], held_out.labels[:BATCH], verbose=0)  # builds its graph
    start = time.perf_counter()
    model.evaluate(inputs, held_out.labels, batch_size=BATCH, verbose=0)
    validation = (time.perf_counter() - start) / len(held_out)
    return 1 / (training + validation / 9)
