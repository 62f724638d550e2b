"""All that twins must share: every random choice and every number that steers a training.

Each random quantity is a function of (seed, what it is for, epoch, step) and never of what was drawn
before. So two frameworks draw the same, and an interrupted training draws what it would have drawn.

Epochs count from 1, steps from 0 within their epoch.
"""

import math
from dataclasses import dataclass

import numpy as np

from twinbench.architecture import HEAD, Architecture, Dense, Layer, kernel_shape, shapes
from twinbench.errors import InputError

_STREAMS = {"order": 1, "augmentation": 2, "dropout": 3, "weights": 4, "native": 5}

# Per channel, on the 0-255 scale, in the order in which the net wants its channels.
# torchvision: weights.AlexNet_Weights.IMAGENET1K_V1.transforms(); Keras: vgg16.preprocess_input.
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406]) * 255
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225]) * 255
_CAFFE_MEAN = np.array([103.939, 116.779, 123.68])
NORMALISATIONS = ("dataset", "imagenet", "caffe")

Weights = dict[str, np.ndarray]


def random_generator(seed: int, stream: str, *counters: int) -> np.random.Generator:
    """The generator of one purpose (`order`, `augmentation`, `dropout`, `weights`) at one place."""
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([seed, _STREAMS[stream], *counters]))
    )


def native_seed(seed: int, epoch: int, step: int) -> int:
    """What a framework's own generator is seeded with for a step, where it draws for itself."""
    return int(random_generator(seed, "native", epoch, step).integers(1 << 31))


# --- Samples -----------------------------------------------------------------------------------


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch. The rest is left out: each epoch leaves out other images."""
    if images < batch_size:
        raise InputError(
            f"training.batch_size: {batch_size} is more than the {images} training images; "
            "make it smaller or raise dataset.limit"
        )
    return images // batch_size


def sample_order(seed: int, epoch: int, images: int, batch_size: int) -> np.ndarray:
    """The images of each step of an epoch: int64 of shape (steps, batch_size)."""
    steps = steps_per_epoch(images, batch_size)
    order = random_generator(seed, "order", epoch).permutation(images)
    return order[: steps * batch_size].reshape(steps, batch_size)


@dataclass(frozen=True)
class Normalisation:
    """Pixels p (0-255, RGB) become `(p[channels] - mean) / deviation`."""

    channels: tuple[int, int, int]
    mean: np.ndarray
    deviation: np.ndarray


def normalisation(name: str, mean: np.ndarray, deviation: np.ndarray) -> Normalisation:
    """What a net expects; `mean` and `deviation` are the data set's, per channel, on 0-1."""
    rgb = (0, 1, 2)
    match name:
        case "dataset":
            return Normalisation(rgb, np.asarray(mean) * 255, np.asarray(deviation) * 255)
        case "imagenet":
            return Normalisation(rgb, _IMAGENET_MEAN, _IMAGENET_DEVIATION)
        case "caffe":
            return Normalisation(rgb[::-1], _CAFFE_MEAN, np.ones(3))
    raise ValueError(f"no normalisation {name!r}")


def resize_matrix(image_size: int, output_size: int) -> np.ndarray:
    """The map from output to image coordinates of a plain resize: float64 of shape (3, 3).

    Pixel centres lie at whole numbers; the images' outer edges fall together (half-pixel centres).
    """
    scale = image_size / output_size
    shift = (scale - 1) / 2
    return np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1]])


def augmentation_matrices(
    seed: int, epoch: int, count: int, image_size: int, output_size: int, settings: dict
) -> np.ndarray:
    """Rotation, scale, shift, flip and resize of an epoch's samples as one affine map each.

    Returns float32 of shape (count, 2, 3), for the samples in the order of `sample_order`. A row
    maps an output pixel (x, y, 1) to where in the image it is read (x, y). Angles are uniform in
    +- `rotation_degrees`, scales in 1 +- `scale_fraction`, shifts in +- `shift_fraction` of the
    image's side, in x and y, rounded under `whole_pixels`: a shift between pixels blurs the image.
    """
    random = random_generator(seed, "augmentation", epoch)
    angle = np.radians(random.uniform(-1, 1, count) * settings["rotation_degrees"])
    shift = random.uniform(-1, 1, (count, 2)) * settings["shift_fraction"] * image_size
    if settings["whole_pixels"]:
        shift = np.round(shift)
    flipped = random.random(count) < 0.5
    scale = 1 + random.uniform(-1, 1, count) * settings["scale_fraction"]
    sign = np.where(flipped & settings["horizontal_flip"], -1.0, 1.0)

    centre = (image_size - 1) / 2
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    about_centre = np.zeros((count, 3, 3))
    about_centre[:, 0, 0], about_centre[:, 0, 1] = sign * cosine, sine
    about_centre[:, 1, 0], about_centre[:, 1, 1] = -sign * sine, cosine
    about_centre[:, :2, 2] = centre + shift - about_centre[:, :2, :2] @ np.full(2, centre)
    about_centre[:, 2, 2] = 1
    return (about_centre @ resize_matrix(image_size, output_size))[:, :2].astype(np.float32)


def plain_matrices(count: int, image_size: int, output_size: int) -> np.ndarray:
    """The maps for evaluation, a resize alone: float32 of shape (count, 2, 3)."""
    matrix = resize_matrix(image_size, output_size)[:2].astype(np.float32)
    return np.broadcast_to(matrix, (count, 2, 3))


def dropout_mask(
    seed: int, epoch: int, step: int, layer: int, shape: tuple[int, ...], rate: float
) -> np.ndarray:
    """What a dropout layer multiplies with: 0, or 1 / (1 - rate) (float32 of the given shape).

    `layer` counts the net's dropout layers from 0. The rate is met to 1 in 65,536.
    """
    draws = random_generator(seed, "dropout", epoch, step, layer).integers(
        0, 1 << 16, shape, dtype=np.uint16
    )
    return (draws >= round(rate * (1 << 16))).astype(np.float32) / np.float32(1 - rate)


# --- Weights -----------------------------------------------------------------------------------


def initial_weights(
    seed: int, layers: tuple[Layer, ...], input_size: int, batch_normalisation: bool
) -> Weights:
    """The weights from which both frameworks start, in the framework-free layout.

    `<layer>/kernel` is float32 (height, width, in, out), or (in, out) with inputs flattened in the
    order height, width, channels; `<layer>/bias` (out,). Normal with variance 2 / fan-in before a
    ReLU (He et al. 2015) and 1 / fan-in in the head (LeCun et al. 1998); biases are zero. Batch
    normalisation, where asked for, adds `gamma`, `beta`, `mean`, `variance` to each convolution.
    """
    weights: Weights = {}
    for index, (layer, input_shape, output_shape) in enumerate(shapes(layers, input_size)):
        shape = kernel_shape(layer, input_shape)
        if shape is None:
            continue
        gain = 1 if layer.name == HEAD else 2
        deviation = math.sqrt(gain / math.prod(shape[:-1]))
        random = random_generator(seed, "weights", index)
        kernel = random.standard_normal(shape, dtype=np.float32) * np.float32(deviation)
        weights[f"{layer.name}/kernel"] = kernel
        weights[f"{layer.name}/bias"] = np.zeros(shape[-1], np.float32)
        if batch_normalisation and not isinstance(layer, Dense):
            for name, value in (("gamma", 1), ("beta", 0), ("mean", 0), ("variance", 1)):
                weights[f"{layer.name}/{name}"] = np.full(output_shape[-1], value, np.float32)
    return weights


BATCH_NORMALISATION_EPSILON = 1e-5
BATCH_NORMALISATION_MOMENTUM = 0.9  # of the old value, as Keras counts; torch counts the new one's


def fold_batch_normalisation(weights: Weights) -> Weights:
    """The same net without batch normalisation: its scale and shift go into kernel and bias."""
    folded = dict(weights)
    for name in [key.removesuffix("/gamma") for key in weights if key.endswith("/gamma")]:
        gamma, beta, mean, variance = (
            folded.pop(f"{name}/{part}") for part in ("gamma", "beta", "mean", "variance")
        )
        scale = gamma / np.sqrt(variance + BATCH_NORMALISATION_EPSILON)
        folded[f"{name}/kernel"] = weights[f"{name}/kernel"] * scale
        folded[f"{name}/bias"] = (weights[f"{name}/bias"] - mean) * scale + beta
    return folded


# --- Steering ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """Epochs that train the same layers: `factors` scales the rate of each, 0 leaves it frozen."""

    name: str
    first_epoch: int
    last_epoch: int
    learning_rate: float
    factors: dict[str, float]

    def trained(self, layer: str) -> bool:
        return self.factors[layer] > 0


def phases(settings: dict, architecture: Architecture) -> list[Phase]:
    """The head alone for `head.epochs`, then every layer that is not frozen, to the last epoch."""
    names = architecture.weighted_layers()
    head_epochs = min(settings["head"]["epochs"], settings["epochs"])
    plan = []
    if head_epochs:
        only_head = {name: float(name == HEAD) for name in names}
        plan.append(Phase("head", 1, head_epochs, settings["head"]["learning_rate"], only_head))
    if head_epochs < settings["epochs"]:
        factors = {name: _rate_factor(name, settings) for name in names}
        plan.append(
            Phase("all", head_epochs + 1, settings["epochs"], settings["learning_rate"], factors)
        )
    return plan


def _rate_factor(layer: str, settings: dict) -> float:
    """The longest prefix of the layer's name among `rate_factors` counts; `frozen` beats it."""
    if layer.startswith(tuple(settings["frozen"])):
        return 0.0
    matching = [prefix for prefix in settings["rate_factors"] if layer.startswith(prefix)]
    return float(settings["rate_factors"][max(matching, key=len)]) if matching else 1.0


def learning_rate(phase: Phase, epoch: int, step: int, steps: int, schedule: dict) -> float:
    """The rate of one step: a linear warm-up, then `constant`, `linear` or `cosine` to the end.

    Warm-up takes `warmup_fraction` of the phase's steps; the rate falls to `final_fraction` of its
    peak (Loshchilov and Hutter 2017 for the cosine).
    """
    total = (phase.last_epoch - phase.first_epoch + 1) * steps
    position = (epoch - phase.first_epoch) * steps + step
    warmup = round(schedule["warmup_fraction"] * total)
    if position < warmup:
        return phase.learning_rate * (position + 1) / warmup
    progress = (position - warmup) / max(1, total - warmup)
    final = schedule["final_fraction"]
    match schedule["shape"]:
        case "constant":
            return phase.learning_rate
        case "linear":
            return phase.learning_rate * (1 - (1 - final) * progress)
        case "cosine":
            return phase.learning_rate * (
                final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
            )
    raise ValueError(f"no schedule {schedule['shape']!r}")


def torch_epsilon(epsilon_hat: float, beta_2: float, update: int) -> float:
    """The epsilon that makes torch's Adam take Keras' step, at update number `update` from 1.

    Keras adds epsilon to the root of the raw second moment (epsilon-hat in Kingma and Ba 2015,
    section 2), torch to the root of the corrected one, which is larger by 1 / sqrt(1 - beta_2**t).
    """
    return epsilon_hat / math.sqrt(1 - beta_2**update)


def chosen_epoch(history: list[dict], keep: str) -> int:
    """The epoch whose weights are the run's: the `last`, or the `best` on the validation split.

    Best is the highest validation accuracy, then the lowest validation loss, then the earliest.
    """
    if keep == "last":
        return history[-1]["epoch"]
    best = max(history, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    return best["epoch"]


def should_stop(history: list[dict], patience: int | None) -> bool:
    """Early stopping: the validation loss has not improved for `patience` epochs."""
    return patience is not None and _epochs_without_improvement(history) >= patience


def plateau_factor(history: list[dict], patience: int | None, factor: float) -> float:
    """What the rate is multiplied with after plateaus: `factor` for each `patience` epochs of one."""
    if patience is None:
        return 1.0
    reductions, waited, best = 0, 0, math.inf
    for row in history:
        improved = row["validation_loss"] < best
        best = min(best, row["validation_loss"])
        waited = 0 if improved else waited + 1
        if waited == patience:
            reductions, waited = reductions + 1, 0
    return factor**reductions


def _epochs_without_improvement(history: list[dict]) -> int:
    losses = [row["validation_loss"] for row in history]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
