"""The whole config as models. The JSON schema for editors is generated from them: `make generate`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from twinbench.config.base import (
    Count,
    Epochs,
    Integer,
    Name,
    Number,
    PositiveNumber,
    Settings,
    setting,
)
from twinbench.config.training import Training
from twinbench.texts import translatable

SHA256_FORM = r"^[0-9a-fA-F]{64}$"
CHECKSUM_FORM = r"^[0-9a-fA-F]{8,64}$"
URL_FORM = r"^https?://"
# Snakemake puts the path of an image into a command without quotes.
IMAGE_FORM = r"^[\w./~][\w./~:@+,=%-]*$"

# cifar-10-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html
OFFICIAL_ARCHIVE = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

Sha256 = Annotated[str, Field(pattern=SHA256_FORM)]
Image = Annotated[str, Field(min_length=1, pattern=IMAGE_FORM)]
Seed = Annotated[Integer, Field(ge=0, le=2**32 - 1)]


def _without_repeats(seeds: list[int]) -> list[int]:
    for seed in seeds:
        if seeds.count(seed) > 1:
            message = "{seed} is listed twice; list each seed once"
            raise PydanticCustomError("repeated", message, {"seed": seed})
    return seeds


Resume = Literal["any", "exact"]
Seeds = Annotated[
    list[Seed],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_without_repeats),
]


Url = Annotated[str, Field(pattern=URL_FORM)]
# One address stands for a list of one.
_URL_SCHEMA: dict[str, Any] = {"type": "string", "pattern": URL_FORM}
Urls = Annotated[
    list[Url],
    Field(min_length=1),
    BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
    WithJsonSchema(
        {"anyOf": [_URL_SCHEMA, {"type": "array", "items": _URL_SCHEMA, "minItems": 1}]}
    ),
]


class SyntheticImages(Settings):
    train_images: Annotated[Integer, Field(ge=100, le=250_000)] = setting(
        5000, "Number of training images; validation images are taken from these."
    )
    test_images: Annotated[Integer, Field(ge=100, le=50_000)] = setting(
        1000, "Number of test images."
    )
    seed: Count = setting(0, "Seed of the images.")


class Dataset(Settings):
    source: Literal["cifar10", "synthetic"] = setting(
        "cifar10", "cifar10: an archive, downloaded or local; synthetic: generated here, offline."
    )
    url: Urls = setting(
        ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
        "Address of the archive in the official binary layout (cifar-10-binary.tar.gz), or a list of "
        "addresses, of which one after the other is tried.",
    )
    archive: str | None = setting(None, "A local archive instead of the download, or null.")
    sha256: Sha256 = setting(
        OFFICIAL_ARCHIVE,
        "SHA-256 of the archive, downloaded or local, or of the tar within it, which is the same however it "
        "was packed.",
    )
    limit: Annotated[Integer, Field(ge=20)] | None = setting(
        None, "Use only so many training and so many test images; all if null."
    )
    validation_fraction: Annotated[Number, Field(gt=0, lt=1)] = setting(
        0.1, "Fraction of the training images held out for validation, the same in each class."
    )
    seed: Count = setting(0, "Decides which images are held out, and which are used under a limit.")
    synthetic: SyntheticImages = setting(SyntheticImages, "Images of the synthetic source.")


class PublishedFile(Settings):
    """Where to download a network's published weights instead of the publisher's address."""

    url: Urls = setting(..., "Address of the file, or a list of addresses.")
    checksum: Annotated[str, Field(pattern=CHECKSUM_FORM)] = setting(
        ..., "MD5 (32 digits) or the first eight or more digits of the SHA-256."
    )


class SyntheticWeights(Settings):
    images: Annotated[Integer, Field(ge=100, le=1_000_000)] = setting(
        20000, "Number of synthetic images."
    )
    epochs: Epochs = setting(5, "Number of epochs.")
    batch_size: Annotated[Integer, Field(ge=2)] = setting(64, "Images per step.")
    learning_rate: PositiveNumber = setting(0.001, "Peak learning rate.")
    seed: Count = setting(0, "Seed of the images and of the training.")


class Weights(Settings):
    imagenet: dict[Name, PublishedFile] = setting(
        {}, "By network: another address of its published weights, a mirror for instance."
    )
    synthetic: SyntheticWeights = setting(
        SyntheticWeights,
        "How synthetic weights are pretrained, on synthetic images of other classes than the study's.",
    )


class StudyTraining(Training):
    """How each run is trained, and what concerns all trainings together, which no run can override."""

    jobs_per_gpu: Annotated[Integer, Field(ge=1, le=32)] = setting(
        1,
        "How many jobs may share a GPU. Several short trainings at once are done sooner, since their starts "
        "overlap, and each takes longer. Accuracies do not depend on it.",
    )

    resume: Resume = setting(
        "any",
        "The checkpoints from which an interrupted training goes on: any of the same experiment, or "
        "exact, only those of the same threads, device and precision too, so that no bit differs. "
        "A run may override it; an edit reruns nothing.",
    )

    def of_a_run(self) -> Training:
        """The settings that a run gets."""
        return Training(**{name: getattr(self, name) for name in Training.model_fields})


class Run(Training):
    """A framework, a network, its initial weights, and any training setting to override."""

    framework: Name = setting(..., "Backend that trains it: pytorch, tensorflow, or an added one.")
    model: Name = setting(
        ..., "alexnet32 (for 32x32 pixels), alexnet (torchvision's) or vgg16 (Keras')."
    )
    weights: str = setting(
        ...,
        "Initial weights: none (from scratch), imagenet, synthetic (pretrained here on synthetic "
        "images), or the path of a file in the library's format.",
    )
    weights_sha256: Sha256 | None = setting(
        None, "SHA-256 that the file at the path must have; not checked if null."
    )
    resume: Resume | None = setting(None, "As training.resume, which counts if null.")


class FigureStyle(Settings):
    dpi: Annotated[Integer, Field(ge=50, le=600)] = setting(
        150, "Resolution of the PNG files, in dots per inch."
    )


class Report(Settings):
    title: str = setting(
        translatable("Scratch or pretrained, PyTorch or TensorFlow?"), "Title of the report."
    )
    language: Literal["en", "es"] = setting("en", "Language of the report and its figures.")
    pictures: bool = setting(
        True, "Whether the report shows test images that some runs, or none, get right."
    )
    introduction: str = setting("", "Text that opens the report, in Markdown.")
    reference: str | None = setting(
        "config/reference.yaml",
        "File of results reported elsewhere, shown beside the measured ones; none if null.",
    )
    equivalence_margin: Annotated[Number, Field(gt=0, le=0.5)] = setting(
        0.01, "Accuracies that differ by less than this fraction count as practically equal."
    )
    figures: FigureStyle = setting(FigureStyle, "Style of the figures.")


class Config(Settings):
    """The config of a twinbench study."""

    study: Name = setting("cifar10", "Name of the study: results go to results/<study>/.")
    seeds: Seeds = setting(
        [1],
        "Each run is trained once per seed; it sets initial weights, sample order, augmentation and "
        "dropout.",
    )
    container_images: dict[Name, Image] = setting(
        {},
        "By environment (pytorch, tensorflow, analysis): the image that --sdm apptainer uses, a .sif "
        "file, docker://host/name:tag, or docker://host/name@digest. Those not named are "
        "images/<environment>.sif.",
    )
    dataset: Dataset = setting(Dataset, "Where the images come from, and how many are used.")
    weights: Weights = setting(Weights, "Where pretrained weights come from.")
    training: StudyTraining = setting(
        StudyTraining,
        "How each run is trained; a run may override any of these settings but jobs_per_gpu.",
    )
    runs: Annotated[dict[Name, Run], Field(min_length=1)] = setting(
        ..., "The runs to compare, by name. null in an overlay removes a run."
    )
    report: Report = setting(Report, "What the report says beside the numbers.")
