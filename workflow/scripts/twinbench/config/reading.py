"""Reads the config strictly: what YAML and merging hide is an error of one line, with the key's path."""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from twinbench.config.messages import KINDS, NO_GROUP, explain, shown, suggestion
from twinbench.config.models import Config
from twinbench.errors import InputError

Schema = dict[str, Any]

_ANYTHING: Schema = {}  # of an unknown key
_MOST_VALUES = 100_000  # of a file, each alias counted as all that it stands for
_WITHOUT_QUOTES = {"integer": "a number", "number": "a number", "boolean": "true or false"}


def read(raw: Any) -> Config:
    """The config that Snakemake merged, as models; runs that are null are left out.

    Raises `InputError`, `config: <path of the key>: <what is wrong>; <what to do>`, for the deepest
    error, since that one says most precisely what is wrong.
    """
    if isinstance(raw, dict) and isinstance(raw.get("runs"), dict):
        runs = {name: run for name, run in raw["runs"].items() if run not in (None, "null")}
        raw = {**raw, "runs": runs}
    try:
        return Config.model_validate(raw)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
    # A misspelt key is missing as well; what helps is its spelling.
    error = max(errors, key=lambda each: (len(each["loc"]), each["type"] == "extra_forbidden"))
    keys = error["loc"]
    if keys[-1:] == ("[key]",):
        keys = keys[:-2]
    elif (
        keys and isinstance(keys[-1], int) and not isinstance(reduce(getitem, keys[:-1], raw), list)
    ):
        keys = keys[:-1]  # one value that stands for a list of one
    elif error["type"] in ("extra_forbidden", "invalid_key", "missing"):
        keys = keys[:-1]
    schema = _schema()
    for key in keys:
        schema = _part(schema, key)
    hint = ""
    if error["type"] == "missing" and keys[:1] == ("runs",):
        hint = suggestion(str(keys[1]), raw["runs"].keys() - {keys[1]})
    raise InputError(f"config: {_path(keys)}{explain(error, errors, schema)}{hint}")


def values_beside(merged: dict[str, Any], files: Iterable[Path]) -> dict[str, Any]:
    """What of the merged config comes from none of the files, but from the command line."""
    return _difference(merged, merged_files(files))


def belongs_here(file: Path) -> bool:
    """Whether a config file has no other keys than this workflow's: not one of a workflow that uses it."""
    return _content(file).keys() <= Config.model_fields.keys()


def merged_files(files: Iterable[Path]) -> dict[str, Any]:
    """The settings of files, merged as Snakemake merges them, in the order in which they count.

    Raises `InputError`, `<file>: <path of the key>: <what is wrong>; <what to do>`, where one empties what
    merging leaves as it was.
    """
    merged: dict[str, Any] = {}
    for file in files:
        content = _content(file)
        _check_removed(file, content.get("runs"), merged.get("runs"))
        for keys in _emptied(merged, content):
            raise InputError(
                f"{file}: {_path(keys)}an empty mapping removes nothing, since mappings are merged key by "
                "key; set it in each run instead, or give each key another value"
            )
        _merge(merged, content)
    return merged


def _check_removed(file: Path, runs: Any, known: Any) -> None:
    """Refuse to remove a run that there is not, if its name is like that of another."""
    if isinstance(runs, dict) and isinstance(known, dict):
        for name, run in runs.items():
            others = known.keys() - runs.keys()
            if run is None and name not in known and (hint := suggestion(str(name), others)):
                raise InputError(
                    f"{file}: runs.{name}: there is no run of this name to remove{hint}"
                )


def _content(file: Path) -> dict[str, Any]:
    """The settings of a file as Snakemake reads them: JSON, or else YAML. None of what is read only once."""
    text = file.read_bytes() if file.is_file() else b""
    try:
        content = json.loads(text)
    except ValueError:
        content = yaml.safe_load(text)
    return content if isinstance(content, dict) else {}


def _emptied(group: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The keys of the mappings that hold something in a group, and nothing in the other one."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(group.get(key), dict):
            if group[key] and not value:
                yield (key,)
            yield from ((key, *rest) for rest in _emptied(group[key], value))


def _merge(group: dict[str, Any], other: dict[str, Any]) -> None:
    """As Snakemake merges: key by key, what comes later counts."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(group.get(key), dict):
            _merge(group[key], value)
        else:
            group[key] = value


def _difference(group: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in group.items():
        if isinstance(value, dict) and isinstance(other.get(key), dict):
            if inner := _difference(value, other[key]):
                found[key] = inner
        elif key not in other or value != other[key]:
            found[key] = value
    return found


def check_file(path: Path, merged: Collection[str] | None = None) -> None:
    """Check one config file, YAML or JSON, for what nobody sees once Snakemake has read and merged it.

    Raises `InputError`, `<file>, line <n>: <path of the key>: <what is wrong>; <what to do>`, for a
    folder `<file>: ...`.
    Templates (`__use_yte__`) and what can be read only once, such as a pipe, are not checked, nor
    is a file with keys that are not among the `merged` config's: it belongs to a workflow that uses
    this one as a module.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder instead of a config file; give a file")
    if not path.is_file():
        return
    try:
        _check_text(path.read_bytes(), merged)
    except InputError as error:
        raise InputError(f"{path}, {error}") from None


def _check_text(text: bytes, merged: Collection[str] | None) -> None:
    try:
        root = _tree(text.decode())
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise InputError(f"line {line}: not UTF-8; save the file as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        raise _invalid_yaml(error) from None
    except (yaml.YAMLError, RecursionError):
        raise InputError("line 1: not readable as YAML; write `key: value` lines") from None
    _check_size(root)
    if not isinstance(root, yaml.MappingNode):
        raise InputError("line 1: no settings at the top level; write `key: value` lines")
    names = {key.value for key, _ in root.value if key.tag.endswith(":str")}
    ours = merged is None or names <= set(merged)
    if ours and "__use_yte__" not in names:
        _check(root, _schema(), (), set())
    try:
        _Constructor().construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise _invalid_yaml(error) from None


def _invalid_yaml(error: yaml.MarkedYAMLError) -> InputError:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    return InputError(f"line {line}: not valid YAML ({error.problem}); correct it")


class _Constructor(yaml.constructor.SafeConstructor):
    """Makes values as Snakemake will, to which it is a bug where a date, say, is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, TypeError):
            message = f"{shown(node.value)} is {_kind(node)} to YAML, but not a valid one; "
            raise _invalid(node, (), message + "correct it, or put it in quotes") from None


def _tree(text: str) -> yaml.Node | None:
    """The nodes of a file; no object is made of them."""
    try:
        json.loads(text)
    except ValueError:
        return yaml.compose(text, yaml.SafeLoader)
    return yaml.compose(text.replace("\t", " "), yaml.SafeLoader)  # JSON may be indented by tabs


def _check_size(root: yaml.Node | None) -> None:
    """Refuse aliases that stand for so many values that Snakemake, which walks all, would hang."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.setdefault(id(node), 0)
        if known:
            return known
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        inner = node.value if isinstance(node, yaml.SequenceNode) else [x for y in pairs for x in y]
        for value in inner:
            if sizes.get(id(value)) == 0:  # not known yet, since it is being counted
                raise _invalid(value, (), "an alias stands within its own value; write it out")
        sizes[id(node)] = 1 + sum(map(size, inner))
        if sizes[id(node)] > _MOST_VALUES:
            message = f"aliases stand for more than {_MOST_VALUES} values; write fewer"
            raise _invalid(node, (), message)
        return sizes[id(node)]

    if root is not None:
        size(root)


def _check(
    node: yaml.Node, schema: Schema, keys: tuple[str, ...], seen: set[tuple[int, int]]
) -> None:
    """`seen` are the nodes already checked, by schema: aliases may repeat a node any number of times."""
    if (id(node), id(schema)) in seen:
        return
    seen.add((id(node), id(schema)))
    kind, wanted = _kind(node), schema.get("type")
    match node:
        case yaml.MappingNode():
            _check_keys(node, keys)
            for key, value in node.value:
                if not key.tag.endswith(":merge"):
                    _check(value, _part(schema, key.value), (*keys, key.value), seen)
                    continue
                for group in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    _check(group, schema, keys, seen)
        case _ if wanted == "object":
            if kind != "nothing" or keys[:-1] != ("runs",):  # which removes the run
                raise _invalid(node, keys, NO_GROUP.format(kind=kind))
        case yaml.SequenceNode():
            for value in node.value:
                _check(value, _part(schema, 0), keys, seen)
        case yaml.ScalarNode() if node.style in ("'", '"') and wanted in _WITHOUT_QUOTES:
            message = f"{shown(node.value)} is text because of its quotes; "
            message += f"write {_WITHOUT_QUOTES[wanted]} without quotes"
            raise _invalid(node, keys, message)


def _check_keys(group: yaml.MappingNode, keys: tuple[str, ...]) -> None:
    lines: dict[str, int] = {}
    for key, _ in group.value:
        kind, name = _kind(key), shown(key.value)
        if not isinstance(key, yaml.ScalarNode):
            raise _invalid(key, keys, f"{kind} instead of a key; write text")
        if kind != "text":
            decimals = ", or write decimals with a point" if kind == "a number" else ""
            raise _invalid(
                key, keys, f"the key {name} is {kind} to YAML; put it in quotes{decimals}"
            )
        if key.value in lines:
            message = f"the key {name} is also in line {lines[key.value]}; remove one of them"
            raise _invalid(key, keys, message)
        lines[key.value] = key.start_mark.line + 1


def _invalid(node: yaml.Node, keys: tuple[str, ...], message: str) -> InputError:
    return InputError(f"line {node.start_mark.line + 1}: {_path(keys)}{message}")


def _kind(node: yaml.Node) -> str:
    return KINDS.get(node.tag.rsplit(":", 1)[-1], "text")


@cache
def _schema() -> Schema:
    return Config.model_json_schema()


def _part(schema: Schema, key: str | int) -> Schema:
    """The schema of what stands under a key of a group, or in a list; empty for an unknown key."""
    others = (*schema.get("patternProperties", {}).values(), schema.get("items"))
    others += (schema.get("additionalProperties"),)
    part = schema.get("properties", {}).get(key) or next(filter(None, others), _ANYTHING)
    part = part.get("anyOf", [part])[0]  # the other one is null
    return _schema()["$defs"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part


def _path(keys: tuple[str | int, ...]) -> str:
    """Such as `training.epochs: `, and nothing for the whole config; odd keys stand in quotes."""
    words = [str(key) if re.fullmatch(r"[\w-]+", str(key)) else shown(key) for key in keys]
    return ".".join(words) + ": " if words else ""
