"""The config: checked against its schema, completed by defaults, and resolved for each rule.

Every fault is an `InputError` of one line that names the key by its path.
"""

import copy
import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError

from twinbench.architecture import ARCHITECTURES, Architecture
from twinbench.errors import InputError
from twinbench.files import checksum

_RUN_KEYS = ("framework", "model", "weights", "weights_sha256")
# Settings that the parity ladder has of its own, or no use for.
_NOT_OF_TWINS = (
    *("protocol", "epochs", "batch_size", "head", "keep", "progressive_resizing", "cached_views"),
    *("early_stopping", "reduce_on_plateau", "on_collapse"),
)
# Each folder with an arm is a framework.
FRAMEWORKS = sorted(path.parent.name for path in Path(__file__).parent.glob("*/arm.py"))
KEYWORDS = ("none", "imagenet", "proxy")


def canonical(value: object) -> str:
    """A value as JSON with sorted keys: the same text for the same settings, in any order."""
    return json.dumps(value, sort_keys=True)


@dataclass(frozen=True)
class StartingWeights:
    """What a run starts from. `source` is none, imagenet, proxy or file; `path` a file's path."""

    source: str
    path: str | None
    sha256: str | None
    identity: str | None

    @property
    def description(self) -> dict:
        """What a report tells. The file's folder is left out: moving a file changes nothing."""
        return {"source": self.source, "file": self.path and Path(self.path).name}


class Configuration:
    """A valid config with all defaults filled in; `raw` is what Snakemake merged."""

    def __init__(self, raw: dict, schema: Path, files: Iterable[Path] = ()) -> None:
        """`files` are those that `raw` was read from: in them, a number does not stand in quotes."""
        self._schema = yaml.safe_load(schema.read_text())
        for file in files:
            _refuse_quoted_numbers(file, self._schema)
        run = self._schema["properties"]["runs"]["additionalProperties"]
        run["properties"]["framework"]["enum"] = FRAMEWORKS
        given = _without_null_runs(_typed(dict(raw), self._schema, self._schema))
        _validate(given, self._schema)
        completed = _with_defaults(given, self._schema, self._schema)
        self.values = _typed(completed, self._schema, self._schema)
        self._check_dataset()
        self._check_rate_factors()
        for run in self.runs:
            self._check_run(run)
        self._weights = {run: self._starting_weights(run) for run in self.runs}

    @property
    def study(self) -> str:
        return self.values["study"]

    @property
    def seeds(self) -> list[int]:
        return self.values["seeds"]

    @property
    def images(self) -> str:
        """Where container images lie: a folder, or a registry's address without the ending."""
        return self.values["images"]

    @property
    def dataset(self) -> dict:
        return self.values["dataset"]

    @property
    def dataset_name(self) -> str:
        return self.dataset["name"] or self.dataset["source"]

    @property
    def report(self) -> dict:
        return self.values["report"]

    @property
    def runs(self) -> list[str]:
        return list(self.values["runs"])

    def framework(self, run: str) -> str:
        return self.values["runs"][run]["framework"]

    def model(self, run: str) -> str:
        return self.values["runs"][run]["model"]

    def training(self, run: str) -> dict:
        """The effective training settings: the study's, overridden key by key by the run's.

        Of the study's rate factors those count that are of layers of the run's net.
        """
        own = {k: v for k, v in self.values["runs"][run].items() if k not in _RUN_KEYS}
        settings = _merged(self.values["training"], own)
        if "rate_factors" not in own:
            net = ARCHITECTURES[self.model(run)]
            factors = settings["rate_factors"].items()
            settings["rate_factors"] = {k: v for k, v in factors if _names_a_layer(k, net)}
        return settings

    def weights(self, run: str) -> StartingWeights:
        return self._weights[run]

    def _starting_weights(self, run: str) -> StartingWeights:
        given = self.values["runs"][run]["weights"]
        match given:
            case "none":
                return StartingWeights("none", None, None, None)
            case "imagenet":
                return StartingWeights("imagenet", None, None, "imagenet")
            case "proxy":
                digest = hashlib.sha256(canonical(self.proxy(self.model(run))).encode())
                return StartingWeights("proxy", None, None, f"proxy-{digest.hexdigest()[:8]}")
        sha256 = checksum(given)
        expected = self.values["runs"][run].get("weights_sha256")
        if expected and expected.lower() != sha256:
            raise InputError(
                f"config: runs.{run}.weights_sha256: {given} has {sha256}, not {expected}; "
                "give the right file or correct the checksum"
            )
        return StartingWeights("file", given, sha256, f"file-{sha256[:8]}")

    def proxy(self, model: str) -> dict:
        """The settings of a net's proxy: images, seed, and the training settings in full."""
        proxy = self.values["weights"]["proxy"]
        training = _with_defaults({}, self._schema["$defs"]["training"], self._schema)
        chosen = ("epochs", "batch_size", "learning_rate")
        training |= {name: proxy[name] for name in chosen}
        training |= {
            "input_size": proxy["input_size"][model],
            "batch_normalisation": True,
            "dropout": 0.0,
            "keep": "last",
        }
        return {"images": proxy["images"], "seed": proxy["seed"], "training": training}

    @property
    def frameworks(self) -> list[str]:
        """The frameworks of the runs, sorted, since keys have no order; added ones come last."""
        found = {self.framework(run) for run in self.runs}
        return sorted(found, key=lambda name: (name not in ("pytorch", "tensorflow"), name))

    def twins(self) -> list[dict]:
        """Each net with its starting weights, whichever frameworks train it, for the parity ladder.

        Runs that differ in other settings alone count once, with the settings that most of them
        have. The loss is followed over 100 steps where more than one framework trains the net, else
        over 20.
        """
        found: dict[tuple, list[str]] = {}
        for run in sorted(self.runs):
            settings = self.training(run)
            own = (settings["input_size"], settings["batch_normalisation"])
            key = (self.model(run), self.weights(run).source, self.weights(run).identity, *own)
            found.setdefault(key, []).append(run)
        names = _distinct(
            [model if source == "none" else f"{model}-{source}" for model, source, *_ in found]
        )
        twins = [
            {
                "name": name,
                "model": self.model(runs[0]),
                "weights": self.weights(runs[0]).source,
                "identity": self.weights(runs[0]).identity,
                "training": _most_common([self._twin_settings(run) for run in runs]),
                "steps": 100 if len({self.framework(run) for run in runs}) > 1 else 20,
            }
            for name, runs in zip(names, found.values(), strict=True)
        ]
        return sorted(twins, key=lambda twin: twin["name"])

    def _twin_settings(self, run: str) -> dict:
        return {k: v for k, v in self.training(run).items() if k not in _NOT_OF_TWINS}

    def official(self, model: str) -> dict:
        """`url` and `checksum` of the publisher's file of a net."""
        return self.values["weights"]["imagenet"][model]

    def _check_dataset(self) -> None:
        archive = self.dataset["archive"]
        if archive and self.dataset["source"] != "cifar10":
            raise InputError(
                "config: dataset.archive: is used by source cifar10 alone; "
                "set dataset.source: cifar10 or dataset.archive: null"
            )
        if archive and not Path(archive).is_file():
            raise InputError(
                f"config: dataset.archive: there is no file {archive}; "
                "correct the path, or set it to null to download"
            )
        reference = self.report["reference"]
        if reference and not Path(reference).is_file():
            raise InputError(
                f"config: report.reference: there is no file {reference}; "
                "correct the path, or set it to null to do without"
            )

    def _check_rate_factors(self) -> None:
        """A run leaves out those of no layer of its net, but one of no net's is a mistake."""
        for prefix in self.values["training"]["rate_factors"]:
            if not any(_names_a_layer(prefix, net) for net in ARCHITECTURES.values()):
                raise InputError(
                    f"config: training.rate_factors: no net has a layer whose name begins with "
                    f"{prefix!r}; correct it or take it out"
                )

    def _check_run(self, run: str) -> None:
        """What the schema cannot say of a run."""
        key, net = f"config: runs.{run}", ARCHITECTURES[self.model(run)]
        given = self.values["runs"][run]["weights"]
        if given not in KEYWORDS and not Path(given).is_file():
            raise InputError(
                f"{key}.weights: {given!r} is none of {', '.join(KEYWORDS)}, and there is no such "
                f"file{_suggestion(given, KEYWORDS)}"
            )
        if given != "none" and not net.pretrained:
            raise InputError(
                f"{key}.weights: no pretrained weights exist for {net.name}; "
                "set weights: none, or model: alexnet or vgg16"
            )
        settings = self.training(run)
        _check_input_size(f"{key}.input_size", settings["input_size"], net)
        _check_resizing(f"{key}.progressive_resizing", settings, net)
        for setting in ("frozen", "rate_factors"):
            for prefix in settings[setting]:
                if not _names_a_layer(prefix, net):
                    raise InputError(
                        f"{key}.{setting}: no layer's name begins with {prefix!r}; "
                        f"{net.name} has {', '.join(net.weighted_layers())}"
                    )


def _names_a_layer(prefix: str, net: Architecture) -> bool:
    return any(name.startswith(prefix) for name in net.weighted_layers())


def _check_input_size(key: str, size: int | None, net: Architecture) -> None:
    if size and size < net.smallest_input:
        raise InputError(
            f"{key}: {size} is too small for {net.name}; set {net.smallest_input} or more"
        )


def _check_resizing(key: str, settings: dict, net: Architecture) -> None:
    resizing = settings["progressive_resizing"]
    if not resizing["epochs"]:
        return
    if not net.takes_any_size:
        raise InputError(f"{key}: {net.name} takes images of one size alone; set epochs: 0")
    if settings["protocol"] == "native":
        raise InputError(f"{key}: is for protocol: harmonised alone; set epochs: 0")
    _check_input_size(f"{key}.input_size", resizing["input_size"], net)


def _most_common(settings: list[dict]) -> dict:
    """The settings that occur most often, the first ones of equals."""
    texts = [canonical(each) for each in settings]
    return settings[texts.index(max(texts, key=texts.count))]


def _distinct(names: list[str]) -> list[str]:
    """The names, repeated ones numbered from their second on."""
    return [
        name if name not in names[:index] else f"{name}-{names[:index].count(name) + 1}"
        for index, name in enumerate(names)
    ]


def _typed(value: object, schema: dict, root: dict) -> object:
    """A copy of `value` in which equal settings are equal values, of the kinds that the schema wants.

    Text is read where none is wanted: Snakemake hands over all that stands inside lists and groups on
    its command line as text, and YAML takes 1e-3 for text. 15 and 15.0 are one setting.
    """
    if isinstance(value, dict):
        parts = _parts(schema, root)
        return {k: _typed(v, parts.get(k, parts.get("*", {})), root) for k, v in value.items()}
    if isinstance(value, list):
        return [_typed(item, schema.get("items", {}), root) for item in value]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(value, str) and (
        not _takes_text(schema) or (value == "null" and "null" in kinds)
    ):
        value = _read(value)
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return str(value)  # which the schema refuses
    return int(value) if value.is_integer() else value


def _refuse_quoted_numbers(file: Path, schema: dict) -> None:
    """Text is no number where somebody says that it is text; only 1e-3 as it stands is one."""
    for key, node in _scalars(yaml.compose(file.read_text()), schema, schema, ""):
        if node.style in ("'", '"') and not isinstance(_read(node.value), str):
            raise InputError(
                f"{file}, line {node.start_mark.line + 1}: {key}: {node.value!r} stands in quotes, "
                "which makes it text; write it without them"
            )


def _scalars(
    node: yaml.Node | None, schema: dict, root: dict, key: str
) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """The scalars of a file that are to be no text, each with its key."""
    match node:
        case yaml.MappingNode():
            parts = _parts(schema, root)
            for name, value in node.value:
                part = parts.get(name.value, parts.get("*", {}))
                yield from _scalars(value, part, root, f"{key}.{name.value}".lstrip("."))
        case yaml.SequenceNode():
            for value in node.value:
                yield from _scalars(value, schema.get("items", {}), root, key)
        case yaml.ScalarNode() if not _takes_text(schema):
            yield key, node


def _takes_text(schema: dict) -> bool:
    kinds = schema.get("type", [])
    return not kinds or "string" in kinds


def _parts(schema: dict, root: dict) -> dict[str, dict]:
    """The schemas of an object's keys; under `*` that of all others."""
    parts = {"*": schema["additionalProperties"] or {}} if "additionalProperties" in schema else {}
    if "$ref" in schema:
        parts |= _resolved({"$ref": schema["$ref"]}, root).get("properties", {})
    return parts | schema.get("properties", {})


def _read(text: str) -> object:
    """What YAML or Python make of `text`: a number, a truth value, null, or text as it is."""
    try:
        value = yaml.safe_load(text)
        return float(text) if isinstance(value, str) else value
    except (yaml.YAMLError, ValueError):
        return text


def _without_null_runs(raw: dict) -> dict:
    given = dict(raw)
    if isinstance(given.get("runs"), dict):
        given["runs"] = {name: run for name, run in given["runs"].items() if run is not None}
    return given


def _merged(base: dict, own: dict) -> dict:
    """`own` over `base`, groups key by key. Rate factors are a list of their own: not merged."""
    result = dict(base)
    for name, value in own.items():
        nested = isinstance(value, dict) and name != "rate_factors"
        result[name] = _merged(base[name], value) if nested else value
    return result


def _with_defaults(value: dict, schema: dict, root: dict) -> dict:
    """`value` with the schema's defaults for keys that it lacks, groups filled in recursively."""
    schema = _resolved(schema, root)
    result = dict(value)
    for name, part in schema.get("properties", {}).items():
        if name not in result and "default" in part:
            result[name] = copy.deepcopy(part["default"])
        if isinstance(result.get(name), dict):
            result[name] = _with_defaults(result[name], part, root)
    return result


def _resolved(schema: dict, root: dict) -> dict:
    reference = schema.get("$ref")
    return root["$defs"][reference.rsplit("/", 1)[1]] | schema if reference else schema


def _validate(given: dict, schema: dict) -> None:
    errors = list(Draft202012Validator(_closed(schema)).iter_errors(given))
    if errors:
        # The deepest first: it says most precisely what is wrong.
        error = max(errors, key=lambda e: len(e.absolute_path))
        path = ".".join(map(str, error.absolute_path))
        raise InputError(f"config: {path}{': ' if path else ''}{_explanation(error, schema)}")


def _closed(schema: dict) -> dict:
    """The schema, with unknown keys refused in `training` too.

    `$defs/training` is open in itself, because a run adds its own keys to it.
    """
    closed = copy.deepcopy(schema)
    closed["properties"]["training"]["unevaluatedProperties"] = False
    return closed


def _explanation(error: ValidationError, schema: dict) -> str:
    value = error.instance
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = _known_keys(error, schema)
            unknown = next(key for key in value if key not in known)
            listed = f"; the keys here are {', '.join(known)}"
            return f"unknown key {unknown!r}{_suggestion(unknown, known) or listed}"
        case "required":
            missing = [key for key in error.validator_value if key not in value]
            return f"{', '.join(missing)} missing; add it"
        case "enum":
            allowed = [str(item) for item in error.validator_value]
            hint = _suggestion(str(value), allowed)
            return f"{value!r} is none of {', '.join(allowed)}{hint}"
        case "minimum" | "exclusiveMinimum":
            more = "at least" if error.validator == "minimum" else "more than"
            return f"{value} is too small; it must be {more} {error.validator_value}"
        case "maximum" | "exclusiveMaximum":
            less = "at most" if error.validator == "maximum" else "less than"
            return f"{value} is too large; it must be {less} {error.validator_value}"
        case "pattern":
            return f"{value!r} does not have the form {error.validator_value}"
    return error.message


def _known_keys(error: ValidationError, schema: dict) -> list[str]:
    part = _resolved(error.schema, schema)
    known = list(part.get("properties", {}))
    if "$ref" in error.schema:
        known += list(schema["$defs"]["training"]["properties"])
    return known


def _suggestion(word: str, known: list[str] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
