"""How a run is trained: every setting that a training job gets, with defaults and limits.

Training jobs import this module, so an edit of it reruns them. The rest of the config is in `models`.
"""

from typing import Annotated, Literal

from pydantic import Field

from twinbench.config.base import (
    Count,
    Epochs,
    Fraction,
    FractionBelowOne,
    Integer,
    Number,
    PositiveInteger,
    PositiveNumber,
    Settings,
    setting,
)

ImageSize = Annotated[Integer, Field(ge=32, le=1024)]
LayerPrefix = Annotated[str, Field(min_length=1)]


class Optimiser(Settings):
    beta_1: FractionBelowOne = setting(0.9, "Decay of Adam's first moment.")
    beta_2: FractionBelowOne = setting(0.999, "Decay of Adam's second moment.")
    epsilon: PositiveNumber = setting(
        1e-7,
        "Keeps the divisor above zero; added to the root of the corrected second moment, as in PyTorch.",
    )
    weight_decay: Annotated[Number, Field(ge=0)] = setting(
        0.0, "Decoupled weight decay of the kernels (AdamW)."
    )


class Schedule(Settings):
    shape: Literal["constant", "linear", "cosine"] = setting(
        "cosine", "How the learning rate falls after the warm-up."
    )
    warmup_fraction: Fraction = setting(
        0.2, "Fraction of the steps in which the learning rate rises to its peak."
    )
    final_fraction: Fraction = setting(0.0, "Last learning rate as a fraction of the peak.")


class Augmentation(Settings):
    rotation_degrees: Annotated[Number, Field(ge=0, le=180)] = setting(
        15.0, "Largest rotation angle, either way, in degrees."
    )
    shift_fraction: Fraction = setting(
        0.1, "Largest shift, either way, as a fraction of the image size."
    )
    whole_pixels: bool = setting(
        False, "Shift by whole pixels, which does not blur the image; native runs ignore it."
    )
    scale_fraction: Annotated[Number, Field(ge=0, le=0.5)] = setting(
        0.0, "Enlarge or shrink by up to this fraction."
    )
    horizontal_flip: bool = setting(True, "Mirror half of the images at random.")
    fill: Literal["nearest", "zeros"] = setting(
        "nearest",
        "What lies outside the image: its nearest pixel, or zeros (the mean colour).",
    )


class ProgressiveResizing(Settings):
    epochs: Count = setting(0, "Number of first epochs with smaller images; 0 for none.")
    input_size: ImageSize = setting(32, "Image size in these epochs, in pixels.")


class Head(Settings):
    epochs: Count = setting(0, "Number of first epochs that train the new head alone.")
    learning_rate: PositiveNumber = setting(0.001, "Peak learning rate of these epochs.")
    initialisation: Literal["auto", "random", "zeros"] = setting(
        "auto",
        "Initial kernel of the head; auto is zeros where the head is trained alone at first, otherwise "
        "random. Native runs use their framework's own initialisation.",
    )


class EarlyStopping(Settings):
    patience: PositiveInteger | None = setting(
        None, "Stop after this many epochs without a better validation loss; never if null."
    )


class ReduceOnPlateau(Settings):
    patience: PositiveInteger | None = setting(
        None, "Reduce after this many epochs without a better validation loss; never if null."
    )
    factor: Annotated[Number, Field(gt=0, lt=1)] = setting(
        0.5, "What the learning rate is multiplied with."
    )


class Training(Settings):
    protocol: Literal["harmonised", "native"] = setting(
        "harmonised",
        "harmonised: both frameworks run the same experiment. native: each uses its own "
        "initialisation, epsilon, dropout and augmentation.",
    )
    epochs: Epochs = setting(10, "Number of epochs.")
    batch_size: Annotated[Integer, Field(ge=2)] = setting(128, "Images per step.")
    optimiser: Optimiser = setting(Optimiser, "Adam with decoupled weight decay.")
    learning_rate: PositiveNumber = setting(0.0007, "Peak learning rate.")
    schedule: Schedule = setting(Schedule, "Learning rate by step.")
    dropout: FractionBelowOne = setting(
        0.3, "Fraction of units dropped before each dense layer that has dropout."
    )
    label_smoothing: FractionBelowOne = setting(
        0.0, "Fraction of the target that is spread over all classes."
    )
    batch_normalisation: bool = setting(False, "Batch normalisation after each convolution.")
    augmentation: Augmentation = setting(
        Augmentation, "Random changes of the training images, in one affine transform."
    )
    input_size: ImageSize | None = setting(
        None, "Image size in pixels to which images are resized; the network's default if null."
    )
    progressive_resizing: ProgressiveResizing = setting(
        ProgressiveResizing,
        "Smaller images in the first epochs, which is faster; for networks that take any size "
        "(alexnet, vgg16).",
    )
    head: Head = setting(Head, "Train the new head alone at first.")
    frozen: list[LayerPrefix] = setting(
        [],
        "Layers that keep their initial weights, by the beginning of their names (conv, block1, "
        "dense1).",
    )
    learning_rate_multipliers: dict[LayerPrefix, PositiveNumber] = setting(
        {},
        "Multipliers of the learning rate by the beginning of layer names; the longest match counts.",
    )
    early_stopping: EarlyStopping = setting(EarlyStopping, "Stop when validation stops improving.")
    reduce_on_plateau: ReduceOnPlateau = setting(
        ReduceOnPlateau, "Lower the learning rate when validation stops improving."
    )
    selected_epoch: Literal["best", "last"] = setting(
        "best",
        "The epoch whose weights are the result: best on the validation split, or last.",
    )
    on_collapse: Literal["record", "fail"] = setting(
        "record",
        "What happens when a training collapses (every image gets the same answer): record stops it, "
        "keeps it with its diagnosis and goes on with the study; fail ends the job with an error.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "Arithmetic of the training; auto is bfloat16 where the hardware supports it."
    )
    device: Literal["auto", "gpu", "cpu"] = setting(
        "auto",
        "auto uses a GPU where there is one (and waits for it), otherwise the CPU; gpu never falls back "
        "to the CPU.",
    )
