"""Synthetic images: a stand-in for CIFAR-10, and the source task of the synthetic weights.

Each image shows one object on a noisy background; its class is the combination of the object's
colour, texture and shape. Classes share their attributes, so that two of the three attributes
never suffice and a model that is linear in the pixels does poorly. The source task has other
combinations of the same attributes, so that what is learned on it is of use on the target task.
"""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Literal

import numpy as np

from twinbench.config.base import Count, PositiveInteger, Settings
from twinbench.data.archive import BATCHES, CLASS_NAMES, TEST_BATCH
from twinbench.data.splits import Split
from twinbench.files import written_atomically
from twinbench.texts import translatable

Task = Literal["target", "source"]

_TASKS: dict[Task, tuple[str, ...]] = {
    "target": (
        translatable("red plain disc"),
        translatable("red plain cross"),
        translatable("red striped disc"),
        translatable("red striped cross"),
        translatable("green plain disc"),
        translatable("green plain cross"),
        translatable("green striped disc"),
        translatable("green striped cross"),
        translatable("blue checkered triangle"),
        translatable("blue checkered ring"),
    ),
    "source": (
        "blue plain disc",
        "blue plain cross",
        "blue striped disc",
        "blue striped cross",
        "red plain triangle",
        "red plain ring",
        "red striped triangle",
        "red striped ring",
        "red checkered disc",
        "red checkered cross",
        "red checkered triangle",
        "red checkered ring",
        "green plain triangle",
        "green plain ring",
        "green striped triangle",
        "green striped ring",
        "green checkered disc",
        "green checkered cross",
        "green checkered triangle",
        "green checkered ring",
    ),
}

_COLOURS = {"red": (215, 45, 45), "green": (45, 185, 55), "blue": (50, 80, 225)}
_SIZE = 32  # pixels, height and width
_STRIPE = 3.5  # width in pixels, of the checks too
_BLOCK = 200  # images per random generator: a multiple of the number of classes of each task


class ArchiveSettings(Settings):
    """Numbers of images, and their seed."""

    train_images: PositiveInteger
    test_images: PositiveInteger
    seed: Count


def class_names(task: Task) -> list[str]:
    """The names of a task's classes, by label: 10 for the target task, 20 for the source task."""
    return list(_TASKS[task])


def generate(task: Task, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` images of the endless sequence that belongs to (task, seed).

    Returns images, uint8 (count, 32, 32, 3), and labels, uint8 (count,). The labels run through
    all classes in one random order after another, so that they are balanced within one.
    """
    images = np.empty((count, _SIZE, _SIZE, 3), np.uint8)
    labels = np.empty(count, np.uint8)
    for start in range(0, count, _BLOCK):
        generator = np.random.default_rng([seed, list(_TASKS).index(task), start // _BLOCK])
        block = slice(start, start + _BLOCK)
        room = len(labels[block])
        block_images, block_labels = _generate_block(_TASKS[task], generator)
        images[block], labels[block] = block_images[:room], block_labels[:room]
    return images, labels


def generate_split(task: Task, count: int, seed: int) -> Split:
    """The images of `generate` as a split, for what trains without an archive.

    `mean` and `std` are 0.5 and 0.25 whatever the images, so that no split depends on another.
    """
    images, labels = generate(task, count, seed)
    return Split(
        images=images,
        labels=labels.astype(np.int64),
        sample_ids=np.arange(count),
        class_names=class_names(task),
        mean=np.full(3, 0.5),
        std=np.full(3, 0.25),
    )


def write_archive(path: Path | str, train_images: int, test_images: int, seed: int) -> None:
    """Write the target task as an archive in the layout of CIFAR-10's `cifar-10-binary.tar.gz`.

    The training images are spread over the five batches; a test image is never a training image.
    The archive's bytes depend on nothing but the arguments.
    """
    images, labels = generate("target", train_images + test_images, seed)
    records = np.hstack([labels[:, None], images.transpose(0, 3, 1, 2).reshape(len(images), -1)])
    batches = np.array_split(records[:train_images], len(BATCHES))
    members = {name: batch.tobytes() for name, batch in zip(BATCHES, batches, strict=True)}
    members[TEST_BATCH] = records[train_images:].tobytes()
    members[CLASS_NAMES] = "".join(f"{name}\n" for name in class_names("target")).encode()
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        _write_members(file, members)


def _write_members(file: io.BufferedIOBase, members: dict[str, bytes]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in members.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _generate_block(
    names: tuple[str, ...], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`_BLOCK` images and their labels, of the classes called `names`."""
    cycles = np.tile(np.arange(len(names), dtype=np.uint8), (_BLOCK // len(names), 1))
    labels = generator.permuted(cycles, axis=1).ravel()
    colours, textures, shapes = np.array([name.split() for name in names])[labels].T

    scene = _background(generator)
    for _ in range(2):
        scene = _with_dot(scene, generator)
    scene = _with_object(scene, colours, textures, shapes, generator)
    light = generator.uniform(0.75, 1.15, (_BLOCK, 1, 1, 1))
    noise = 5 * generator.standard_normal(scene.shape, np.float32)
    return np.clip(scene * light + noise, 0, 255).round().astype(np.uint8), labels


def _background(generator: np.random.Generator) -> np.ndarray:
    """Muted colours with a random gradient, (_BLOCK, 32, 32, 3) on the 0-255 scale."""
    grey = generator.uniform(60, 200, (_BLOCK, 1, 1, 1))
    tint = generator.normal(0, 25, (_BLOCK, 1, 1, 3))
    middle, angle = np.full((_BLOCK, 2), _SIZE / 2), generator.uniform(0, 2 * np.pi, _BLOCK)
    x, _ = _coordinates(middle, angle)
    slope = generator.uniform(0, 1.5, (_BLOCK, 1, 1))
    return grey + tint + (slope * x)[..., None]


def _with_dot(scene: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The scene with a small dot of a random colour in each image, whatever its class."""
    x, y = _coordinates(generator.uniform(2, 30, (_BLOCK, 2)), np.zeros(_BLOCK))
    radius = generator.uniform(1.5, 2.5, (_BLOCK, 1, 1))
    colour = generator.uniform(30, 225, (_BLOCK, 1, 1, 3))
    return _blend(scene, colour, radius - np.hypot(x, y))


def _with_object(
    scene: np.ndarray,
    colours: np.ndarray,
    textures: np.ndarray,
    shapes: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """The scene with the object of each image, whose attributes are arrays of words, (_BLOCK,)."""
    radius = generator.uniform(7.5, 10, (_BLOCK, 1, 1))
    centre = _SIZE / 2 + generator.uniform(-1, 1, (_BLOCK, 2)) * (_SIZE / 2 + 2 - radius[:, 0])
    x, y = _coordinates(centre, generator.uniform(-0.25, 0.25, _BLOCK))

    # A plain object is as bright as a texture's mean, or the mean colour would give the class away.
    phase = generator.uniform(0, 2 * _STRIPE, (2, _BLOCK, 1, 1))
    brightness = np.select(
        [(textures == "plain")[:, None, None], (textures == "striped")[:, None, None]],
        [0.0, _waves(y + phase[1])],
        _waves(x + phase[0]) * _waves(y + phase[1]),
    )
    distance = np.select(
        [(shapes == name)[:, None, None] for name in _SHAPES],
        [shape(x / radius, y / radius) * radius for shape in _SHAPES.values()],
    )
    base = np.array([_COLOURS[colour] for colour in colours]) + generator.normal(0, 14, (_BLOCK, 3))
    shade = generator.uniform(0.85, 1.2, (_BLOCK, 1, 1)) * (brightness + 1) / 2
    return _blend(scene, base[:, None, None, :] * shade[..., None], distance)


def _coordinates(centre: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixels' x and y in frames moved to `centre`, (n, 2), and turned by `angle`, (n,)."""
    row, column = np.mgrid[:_SIZE, :_SIZE] + 0.5
    x, y = column - centre[:, 0, None, None], row - centre[:, 1, None, None]
    cosine, sine = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    return cosine * x + sine * y, cosine * y - sine * x


def _waves(position: np.ndarray) -> np.ndarray:
    """A softened square wave between -1 and 1, whose half period is one stripe."""
    return np.clip(2 * np.sin(position * np.pi / _STRIPE), -1, 1)


def _blend(scene: np.ndarray, colour: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """`colour` over the scene where the signed distance to the outline, in pixels, is positive."""
    coverage = np.clip(distance + 0.5, 0, 1)[..., None]
    return scene + (colour - scene) * coverage


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.92 - np.hypot(x, y)


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    slanted = 0.5 * y - np.sqrt(0.75) * np.abs(x)
    return np.minimum(0.75 - y, slanted + 0.55)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(
        np.minimum(0.36 - x, 1 - y),
        np.minimum(0.36 - y, 1 - x),
    )


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    radius = np.hypot(x, y)
    return np.minimum(1 - radius, radius - 0.45)


# Signed distances to the outlines, positive inside, in units of the object's radius.
_SHAPES = {"disc": _disc, "triangle": _triangle, "cross": _cross, "ring": _ring}
