"""A study: the valid config, resolved into what each rule needs.

Nothing here needs NumPy or a framework, so that Snakemake's own environment can plan a study.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinbench.config.messages import shown, suggestion
from twinbench.config.models import OFFICIAL_ARCHIVE, PublishedFile, Run
from twinbench.config.reading import check_file, merged_files, read
from twinbench.config.reference import read_reference
from twinbench.config.training import Training
from twinbench.errors import InputError
from twinbench.files import checksum
from twinbench.networks.architectures import ARCHITECTURES, HEAD, Architecture

KEYWORDS = ("none", "imagenet", "synthetic")
# What a run has besides the training settings that it overrides.
_RUN_KEYS = {"framework", "model", "weights", "weights_sha256", "resume"}
# Each folder with a backend is a framework.
BACKENDS = sorted(
    path.parent.name for path in Path(__file__).parents[1].glob("backends/*/backend.py")
)
# Each has a file in envs/ and a container image.
ENVIRONMENTS = [*BACKENDS, "analysis"]
RESULTS = "results"
_FOLDERS = ("data", "weights", "logs")  # in RESULTS, of no study


@dataclass(frozen=True)
class InitialWeights:
    """What a run starts from. `source` is none, imagenet, synthetic or file; `path` is a file's path.

    `weights_id` names the weights in files; it is None without pretrained weights.
    """

    source: str
    path: str | None = None
    weights_id: str | None = None

    @property
    def file(self) -> str | None:
        """The file's name alone: moving a file changes nothing."""
        return self.path and Path(self.path).name


class Study:
    """A study's settings with all defaults filled in.

    `raw` is the config as Snakemake merged it, `files` the config files it came from; these are read
    again for what merging hides, such as duplicate keys. Raises `InputError`, one line with the key's
    path.
    """

    def __init__(self, raw: dict[str, Any], files: Iterable[Path] = ()) -> None:
        files = list(files)
        for file in files:
            check_file(file, raw)
        merged_files(files)  # which refuses what merging would hide
        self.config = read(raw)
        self.name = self.config.study
        if self.name in _FOLDERS:
            raise InputError(
                f"config: study: results/{self.name}/ is for all studies; give the study another name"
            )
        self.seeds = self.config.seeds
        self.runs = list(self.config.runs)
        self._check_files()
        published = [name for name, network in ARCHITECTURES.items() if network.published]
        _check_names("weights.imagenet", self.config.weights.imagenet, published)
        _check_names("container_images", self.config.container_images, ENVIRONMENTS)
        self._check_multipliers()
        self._training = {run: self._effective_training(run) for run in self.runs}
        for run in self.runs:
            self._check_run(run)
        self._weights = {run: self._initial_weights(run) for run in self.runs}

    @property
    def folder(self) -> str:
        """Where the study's results go."""
        return f"{RESULTS}/{self.name}"

    @property
    def archive(self) -> str:
        """The archive of the images, shared by studies that use other parts of it."""
        return f"{RESULTS}/data/archives/{self.config.dataset.source}-{self._archive_id()}.tar.gz"

    @property
    def data_folder(self) -> str:
        """Where Parquet and tensors go: its name holds a digest of every setting that decides them."""
        dataset = self.config.dataset
        decisive = [self._archive_id(), dataset.limit, dataset.validation_fraction, dataset.seed]
        return f"{RESULTS}/data/{dataset.source}-{digest(decisive)}"

    def _archive_id(self) -> str:
        dataset = self.config.dataset
        if dataset.source == "synthetic":
            return digest(dataset.synthetic.model_dump())
        return dataset.sha256[:8].lower()

    @property
    def archive_sha256(self) -> str | None:
        """The checksum of the archive that was downloaded or given."""
        dataset = self.config.dataset
        return None if dataset.source == "synthetic" else dataset.sha256.lower()

    @property
    def official_archive(self) -> bool:
        return self.archive_sha256 == OFFICIAL_ARCHIVE

    @property
    def published_checksums(self) -> dict[str, str]:
        """The checksum of each file of published weights that the study uses, by its network."""
        models = {self.model(run) for run in self.runs if self.weights(run).source == "imagenet"}
        return {model: self.published_file(model).checksum for model in sorted(models)}

    def framework(self, run: str) -> str:
        return self.config.runs[run].framework

    def model(self, run: str) -> str:
        return self.config.runs[run].model

    def training(self, run: str) -> Training:
        """A run's training settings: the study's, overridden key by key by the run's own."""
        return self._training[run]

    def resume(self, run: str) -> str:
        """From which checkpoints a run goes on: any or exact. No training setting: it reruns nothing."""
        return self.config.runs[run].resume or self.config.training.resume

    def weights(self, run: str) -> InitialWeights:
        return self._weights[run]

    @property
    def frameworks(self) -> list[str]:
        """The frameworks of the runs, sorted, since keys have no order; added ones come last."""
        found = {self.framework(run) for run in self.runs}
        return sorted(found, key=lambda name: (name not in ("pytorch", "tensorflow"), name))

    def published_file(self, model: str) -> PublishedFile:
        """Address and checksum of a network's published weights: the config's, else the publisher's."""
        published = ARCHITECTURES[model].published
        assert published is not None
        return self.config.weights.imagenet.get(
            model, PublishedFile(url=[published.url], checksum=published.checksum)
        )

    def pretraining(self, model: str) -> Training:
        """The training settings by which a network's synthetic weights are pretrained."""
        given = self.config.weights.synthetic
        published = ARCHITECTURES[model].published
        assert published is not None
        return Training(
            epochs=given.epochs,
            batch_size=given.batch_size,
            learning_rate=given.learning_rate,
            input_size=published.pretraining_size,
            batch_normalisation=True,
            dropout=0.0,
            selected_epoch="last",
        )

    def _effective_training(self, run: str) -> Training:
        """Of the study's learning rate multipliers, those for layers of the run's network count."""
        own = self.config.runs[run].model_dump(exclude_unset=True, exclude=_RUN_KEYS)
        settings = self.config.training.of_a_run().changed(**own)
        if "learning_rate_multipliers" in own:
            return settings
        network = self._architecture(run)
        multipliers = settings.learning_rate_multipliers.items()
        kept = {prefix: value for prefix, value in multipliers if _names_a_layer(prefix, network)}
        return settings.changed(learning_rate_multipliers=kept)

    def _initial_weights(self, run: str) -> InitialWeights:
        settings = self.config.runs[run]
        match settings.weights:
            case "none":
                return InitialWeights("none")
            case "imagenet":
                return InitialWeights("imagenet", weights_id="imagenet")
            case "synthetic":
                given = self.config.weights.synthetic
                decisive = [given.images, given.seed, self.pretraining(settings.model).model_dump()]
                return InitialWeights("synthetic", weights_id=f"synthetic-{digest(decisive)}")
        path = settings.weights
        try:
            sha256 = checksum(path)
        except OSError as error:
            raise InputError(
                f"config: runs.{run}.weights: {shown(path)} cannot be read ({error.strerror}); correct "
                "the path, or set the permissions"
            ) from None
        expected = settings.weights_sha256
        if expected and expected.lower() != sha256:
            raise InputError(
                f"config: runs.{run}.weights_sha256: {path} has {sha256}, not {expected}; "
                "give the right file or correct the checksum"
            )
        return InitialWeights("file", path, f"file-{sha256[:8]}")

    def _architecture(self, run: str) -> Architecture:
        model = self.model(run)
        _check_names(f"runs.{run}.model", [model], ARCHITECTURES)
        return ARCHITECTURES[model]

    def _check_files(self) -> None:
        dataset, reference = self.config.dataset, self.config.report.reference
        if dataset.archive and dataset.source != "cifar10":
            raise InputError(
                "config: dataset.archive: only source cifar10 uses it; "
                "set dataset.source: cifar10 or dataset.archive: null"
            )
        if dataset.archive and not _is_file(dataset.archive):
            raise InputError(
                f"config: dataset.archive: there is no file {shown(dataset.archive)}; "
                "correct the path, or set it to null to download"
            )
        if reference and not _is_file(reference):
            raise InputError(
                f"config: report.reference: there is no file {shown(reference)}; "
                "correct the path, or set it to null to do without"
            )
        if reference:
            _check_braces("config: report.reference", reference)
            # Read now, since a mistake in it is not to be found after the trainings.
            try:
                read_reference(Path(reference))
            except OSError as error:
                raise InputError(
                    f"config: report.reference: {shown(reference)} cannot be read ({error.strerror}); "
                    "correct the path, or set the permissions"
                ) from None

    def _check_multipliers(self) -> None:
        """A run ignores those of no layer of its network; one of no network's layer is a mistake."""
        for prefix in self.config.training.learning_rate_multipliers:
            if not any(_names_a_layer(prefix, network) for network in ARCHITECTURES.values()):
                raise InputError(
                    "config: training.learning_rate_multipliers: no network has a layer whose name "
                    f"begins with {prefix!r}; correct it or remove it"
                )

    def _check_run(self, run: str) -> None:
        """What the models cannot check."""
        settings, key = self.config.runs[run], f"config: runs.{run}"
        network = self._architecture(run)
        _check_names(f"runs.{run}.framework", [settings.framework], BACKENDS)
        _check_weights(f"{key}.weights", settings, network)
        training = self.training(run)
        _check_input_size(f"{key}.input_size", training.input_size, network)
        _check_resizing(f"{key}.progressive_resizing", training, network)
        if training.head.epochs and any(HEAD.startswith(prefix) for prefix in training.frozen):
            raise InputError(
                f"{key}.frozen: the head is frozen, but trained for {training.head.epochs} epochs "
                "(head.epochs); set head.epochs: 0, or do not freeze it"
            )
        for name in ("frozen", "learning_rate_multipliers"):
            for prefix in getattr(training, name):
                if not _names_a_layer(prefix, network):
                    raise InputError(
                        f"{key}.{name}: no layer's name begins with {prefix!r}; "
                        f"{network.name} has {', '.join(network.weighted_layers())}"
                    )


def digest(value: object) -> str:
    """Eight digits that stand for a value of JSON's types."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _none_of(word: str, known: Collection[str]) -> str:
    hint = suggestion(word, known) or "; give one of these"
    return f"{word!r} is none of {', '.join(known)}{hint}"


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:  # such as a name that is too long
        return False


def _names_a_layer(prefix: str, network: Architecture) -> bool:
    return any(name.startswith(prefix) for name in network.weighted_layers())


def _check_names(key: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"config: {key}: {_none_of(name, known)}")


def _check_braces(key: str, path: str) -> None:
    if "{" in path:
        raise InputError(
            f"{key}: {shown(path)} holds a brace, with which Snakemake marks wildcards; "
            "give a path without"
        )


def _check_weights(key: str, run: Run, network: Architecture) -> None:
    if run.weights not in KEYWORDS and not _is_file(run.weights):
        raise InputError(
            f"{key}: {shown(run.weights)} is none of {', '.join(KEYWORDS)}, and there is no such file"
            f"{suggestion(run.weights, KEYWORDS) or '; give one of these or the path of a file'}"
        )
    _check_braces(key, run.weights)
    if run.weights != "none" and network.published is None:
        pretrained = [name for name, each in ARCHITECTURES.items() if each.published]
        raise InputError(
            f"{key}: no pretrained weights exist for {network.name}; "
            f"set weights: none, or model: {' or '.join(pretrained)}, or name a file in the network's "
            "table (docs/extending.md)"
        )


def _check_input_size(key: str, size: int | None, network: Architecture) -> None:
    if size and size < network.smallest_input:
        raise InputError(
            f"{key}: {size} is too small for {network.name}; set {network.smallest_input} or more"
        )


def _check_resizing(key: str, training: Training, network: Architecture) -> None:
    resizing = training.progressive_resizing
    if not resizing.epochs:
        return
    if not network.takes_any_size:
        raise InputError(f"{key}: {network.name} takes images of one size only; set epochs: 0")
    if training.protocol == "native":
        raise InputError(f"{key}: needs protocol: harmonised; set epochs: 0")
    _check_input_size(f"{key}.input_size", resizing.input_size, network)
