"""The config read strictly: what is accepted, and one clear line for each mistake."""

import datetime
import json
import os
import re
import time

import pytest
from example_config import CONFIG, OVERLAYS, changed
from support import ROOT
from twinbench.config import messages
from twinbench.config.messages import suggestion
from twinbench.config.models import Config
from twinbench.config.reading import check_file, merged_files, read, values_beside
from twinbench.errors import InputError

RUN = {"framework": "pytorch", "model": "vgg16", "weights": "none"}
NOT_TEXT = "put it in quotes"


def refusal(raw: object) -> str:
    with pytest.raises(InputError) as caught:
        read(raw)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("path", "value", "same"),
    [
        ("training.learning_rate", "1e-3", 0.001),
        ("training.learning_rate", 1, 1.0),
        ("runs.pytorch-scratch.learning_rate", "1e-3", 0.001),
        ("training.epochs", "3", 3),
        ("training.epochs", 3.0, 3),
        ("training.epochs", "3.0", 3),
        ("dataset.limit", "1e4", 10000),
        ("training.batch_normalisation", "true", True),
        ("training.augmentation", {"rotation_degrees": "15"}, {"rotation_degrees": 15.0}),
        ("runs.pytorch-scratch.learning_rate_multipliers", {"conv": "0.5"}, {"conv": 0.5}),
        ("seeds", ["1", "2"], [1, 2]),
        ("dataset.limit", "null", None),
        ("dataset.url", "https://host/a", ["https://host/a"]),
        ("dataset.archive", "null", None),
        ("training.early_stopping", {"patience": "null"}, {}),
    ],
)
def test_a_setting_written_in_another_way_is_the_same_setting(path, value, same):
    # Everything inside lists and groups of --config reaches the workflow as text.
    assert read(changed({path: value})) == read(changed({path: same}))


@pytest.mark.parametrize("null", [None, "null"])
def test_null_removes_a_run(null):
    config = read(changed({"runs.pytorch-scratch": null}))
    assert "pytorch-scratch" not in config.runs
    assert "tensorflow-scratch" in config.runs


def test_reading_leaves_the_given_config_as_it_is():
    raw = changed({"runs.pytorch-scratch": None})
    before = json.dumps(raw)
    read(raw)
    assert json.dumps(raw) == before


# changes, path of the key, words of the message
MISTAKES = [
    ({"trainin": {}}, "", ["unknown key 'trainin'", "did you mean 'training'?"]),
    ({"training.learning_rte": 1}, "training", ["unknown key", "did you mean 'learning_rate'?"]),
    ({"dataset.zzz": 1}, "dataset", ["unknown key 'zzz'", "the keys here are source, url"]),
    (
        {"runs.a": {**RUN, "lerning_rate": 1}},
        "runs.a",
        ["unknown key", "did you mean 'learning_rate'?"],
    ),
    ({"runs.a": {"framwork": "x"}}, "runs.a", ["unknown key", "did you mean 'framework'?"]),
    ({"runs.a": {"framework": "pytorch"}}, "runs.a", ["model, weights are missing; add them"]),
    (
        {"runs.pytorch-scratchh": {"learning_rate": 1}},
        "runs.pytorch-scratchh",
        ["are missing", "did you mean 'pytorch-scratch'?"],
    ),
    ({"runs.a": {**RUN, "weights": None}}, "runs.a.weights", ["nothing; give none (random)"]),
    ({"runs.a": {"framework": "pytorch", "model": "vgg16"}}, "runs.a", ["weights is missing"]),
    (
        {"runs.a": {"framework": "pytorch", "model": "vgg16"}, "runs.b": {"model": "vgg16"}},
        "runs.a",
        ["weights is missing; add it"],
    ),
    ({"runs.a": []}, "runs.a", ["a list instead of a group"]),
    ({"runs": {}}, "runs", ["empty", "at least one"]),
    ({"runs": {"a": None}}, "runs", ["empty", "at least one"]),
    ({"runs": [RUN]}, "runs", ["a list instead of a group"]),
    ({"runs": {1: RUN}}, "runs", ["the key 1", NOT_TEXT]),
    ({"runs": {"a b": RUN}}, "runs", ["the key 'a b'", "only letters, digits, - and _"]),
    ({"runs": {"a\nb": {**RUN, "head": {"x": 1}}}}, r"runs.'a\nb'.head", ["unknown key 'x'"]),
    ({"training": None}, "training", ["nothing instead of a group"]),
    ({"training": "fast"}, "training", ["text instead of a group"]),
    ({"training": {1: 2}}, "training", ["the key 1", NOT_TEXT]),
    ({"training": {False: 2}}, "training", ["the key False", NOT_TEXT]),
    ({"training.epochs": -3}, "training.epochs", ["-3 is too small", "at least 1"]),
    ({"training.epochs": 2.5}, "training.epochs", ["2.5 is not a whole number"]),
    ({"training.epochs": "2.5"}, "training.epochs", ["'2.5' is not a whole number"]),
    ({"training.epochs": 1e30}, "training.epochs", ["too large"]),
    ({"training.epochs": True}, "training.epochs", ["True is a truth value", "give a number"]),
    ({"training.epochs": None}, "training.epochs", ["None is not a whole number"]),
    ({"training.learning_rate": "fast"}, "training.learning_rate", ["'fast' is not a number"]),
    ({"training.learning_rate": [1]}, "training.learning_rate", ["[1] is not a number"]),
    ({"training.learning_rate": "nan"}, "training.learning_rate", ["not a finite number"]),
    ({"training.learning_rate": "1e999"}, "training.learning_rate", ["not a finite number"]),
    ({"training.learning_rate": float("inf")}, "training.learning_rate", ["not a finite number"]),
    ({"training.learning_rate": 0}, "training.learning_rate", ["too small", "more than 0"]),
    ({"training.dropout": 1}, "training.dropout", ["too large", "less than 1"]),
    ({"report.equivalence_margin": 1}, "report.equivalence_margin", ["at most 0.5"]),
    ({"training.batch_normalisation": "maybe"}, "training.batch_normalisation", ["true nor false"]),
    ({"training.precision": "bfloat"}, "training.precision", ["none of auto", "'bfloat16'?"]),
    ({"training.precision": 16}, "training.precision", ["16 is none of auto, float32, bfloat16"]),
    ({"training.frozen": "conv"}, "training.frozen", ["'conv' is not a list"]),
    ({"training.frozen": [""]}, "training.frozen.0", ["'' is empty"]),
    (
        {"training.learning_rate_multipliers": {"conv": True}},
        "training.learning_rate_multipliers.conv",
        ["truth value"],
    ),
    (
        {"training.learning_rate_multipliers": {"": 1}},
        "training.learning_rate_multipliers",
        ["the key '' is empty"],
    ),
    ({"seeds": 1}, "seeds", ["1 is not a list"]),
    ({"seeds": []}, "seeds", ["empty"]),
    ({"seeds": ["one"]}, "seeds.0", ["'one' is not a whole number"]),
    ({"seeds": [1, "1"]}, "seeds", ["1 is listed twice"]),
    ({"seeds": [1, -1]}, "seeds.1", ["too small"]),
    ({"seeds": [2**32]}, "seeds.0", ["too large"]),
    ({"study": 5}, "study", ["5 is a number", NOT_TEXT]),
    ({"study": None}, "study", ["nothing instead of text"]),
    ({"study": "../elsewhere"}, "study", ["'../elsewhere'", "only letters, digits, - and _"]),
    ({"study": "a" * 101}, "study", ["too long", "at most 100 characters"]),
    ({"study": "cifar10\n"}, "study", ["only letters, digits, - and _"]),
    (
        {"report.title": datetime.date(2026, 7, 1)},
        "report.title",
        ["2026-07-01 is a date", NOT_TEXT],
    ),
    ({"report.title": False}, "report.title", ["False is a truth value", NOT_TEXT]),
    ({"report.title": ["a"]}, "report.title", ["a list instead of text"]),
    ({"dataset.sha256": "12"}, "dataset.sha256", ["64 hexadecimal digits"]),
    ({"dataset.url": "ftp://host"}, "dataset.url", ["'ftp://host'", "http:// or https://"]),
    ({"dataset.url": ["https://a", "b"]}, "dataset.url.1", ["'b'", "http:// or https://"]),
    ({"dataset.url": []}, "dataset.url", ["empty"]),
    ({"dataset.url": 5}, "dataset.url", ["5 is a number", NOT_TEXT]),
    ({"dataset.limit": 3}, "dataset.limit", ["at least 20"]),
    ({"study": "a" * 300}, "study", ["is too long; give at most 100 characters"]),
    ({"runs": {"a" * 300: RUN}}, "runs", ["is too long; give at most 100 characters"]),
    ({"report.title": "a\0b"}, "report.title", ["'a\\x00b' holds a character", "remove it"]),
    ({"report.title": "\ud800"}, "report.title", ["'\\ud800' holds a character"]),
    ({"dataset.url": ["http://a\0b"]}, "dataset.url", ["holds a character"]),
    ({"training.epochs": 10**21}, "training.epochs", ["too large", "at most 100000"]),
    ({"training.input_size": 10**9}, "training.input_size", ["too large", "at most 1024"]),
    ({"training.jobs_per_gpu": 10**8}, "training.jobs_per_gpu", ["too large", "at most 32"]),
    ({"weights.synthetic": {"images": 10**9}}, "weights.synthetic.images", ["too large"]),
    (
        {"weights.imagenet": {"vgg16": {"url": "https://host", "checksum": "x"}}},
        "weights.imagenet.vgg16.checksum",
        ["8 to 64 hexadecimal digits"],
    ),
    ({"container_images.pytorch": ""}, "container_images.pytorch", ["'' is empty"]),
    *(
        (
            {"container_images.pytorch": name},
            "container_images.pytorch",
            ["use only letters, digits"],
        )
        for name in ("my images", "a;b", "$(b)", "a{b}", "-a", "a\n", "a'b")
    ),
    ({"trainin": 1, "training.optimiser.beta_1": 2}, "training.optimiser.beta_1", ["too large"]),
]


@pytest.mark.parametrize(("changes", "path", "words"), MISTAKES)
def test_a_mistake_is_one_line_with_its_key(changes, path, words):
    message = refusal(changed(changes))
    prefix = f"config: {path}: " if path else "config: "
    assert message.startswith(prefix)
    for word in words:
        assert word in message.removeprefix(prefix)
    assert ";" in message  # what is wrong; what to do


@pytest.mark.parametrize("raw", [None, [], "text", {}, {1: 2}])
def test_what_is_no_config_at_all_is_one_line(raw):
    assert refusal(raw).startswith("config: ")


def test_a_long_value_is_cut():
    assert len(refusal(changed({"training.learning_rate": "x" * 10_000}))) < 200


def patterns(part: object) -> set[str]:
    if isinstance(part, list):
        return set().union(*map(patterns, part))
    if not isinstance(part, dict):
        return set()
    own = {part["pattern"]} if isinstance(part.get("pattern"), str) else set()
    return own.union(part.get("patternProperties", {}), *map(patterns, part.values()))


def test_every_form_that_the_models_ask_for_is_put_in_words():
    assert patterns(Config.model_json_schema()) == set(messages.FORMS)


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("pytorhc", ["pytorch", "tensorflow"], "; did you mean 'pytorch'?"),
        ("imagnet", ("none", "imagenet"), "; did you mean 'imagenet'?"),
        ("imagnet", {"imagenet": 1}, "; did you mean 'imagenet'?"),
        ("zzz", iter(["none"]), ""),
        ("", [], ""),
    ],
)
def test_a_suggestion_is_made_where_a_word_is_similar(word, known, expected):
    assert suggestion(word, known) == expected


@pytest.fixture
def check(tmp_path):
    file = tmp_path / "study.yaml"

    def check(text: str | bytes) -> str | None:
        """What is refused, without the file's name; None if nothing is."""
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            check_file(file)
        except InputError as error:
            message = str(error)
            assert message.startswith(f"{file}, line ")
            assert "\n" not in message
            return message.removeprefix(f"{file}, ")
        return None

    return check


# text, line, path of the key, words of the message
FILE_MISTAKES = [
    ("study: a\nstudy: b\n", 2, "", ["'study' is also in line 1"]),
    ('study: a\n"study": b\n', 2, "", ["'study' is also in line 1"]),
    (
        "training:\n  head: {epochs: 1, epochs: 2}\n",
        2,
        "training.head",
        ["'epochs' is also in line 2"],
    ),
    ("training:\n  epochs: 1\n  dropout: 0\n  'epochs': 2\n", 4, "training", ["also in line 2"]),
    ("other:\n- a: 1\n  a: 2\n", 3, "other", ["'a' is also in line 2"]),
    ('{"study": "a",\n "study": "b"}', 2, "", ["'study' is also in line 1"]),
    (
        "runs:\n  a: &a {epochs: 1}\n  b:\n    <<: *a\n    <<: *a\n",
        5,
        "runs.b",
        ["'<<' is also in"],
    ),
    ("runs: {b: {<<: {epochs: 1, epochs: 2}}}\n", 1, "runs.b", ["'epochs' is also in line 1"]),
    ("study: a\n1: b\n", 2, "", ["the key '1' is a number", NOT_TEXT]),
    (
        "training: {learning_rate: 0,001}\n",
        1,
        "training",
        ["the key '001' is a number", "write decimals with a point"],
    ),
    ("runs:\n  no: {}\n", 2, "runs", ["the key 'no' is a truth value", NOT_TEXT]),
    ("on: b\n", 1, "", ["the key 'on' is a truth value", NOT_TEXT]),
    ("2026-07-01: b\n", 1, "", ["the key '2026-07-01' is a date", NOT_TEXT]),
    ("~: b\n", 1, "", ["the key '~' is nothing", NOT_TEXT]),
    ("training: {[a]: b}\n", 1, "training", ["a list instead of a key"]),
    ("? {a: 1}\n: b\n", 1, "", ["a group instead of a key"]),
    ("training:\n  epochs: '3'\n", 2, "training.epochs", ["'3' is text", "without quotes"]),
    ('training: {learning_rate: "1e-3"}\n', 1, "training.learning_rate", ["without quotes"]),
    (
        "training: {batch_normalisation: 'no'}\n",
        1,
        "training.batch_normalisation",
        ["true or false"],
    ),
    ("seeds: [1, '2']\n", 1, "seeds", ["'2' is text"]),
    ("dataset: {limit: '100'}\n", 1, "dataset.limit", ["'100' is text"]),
    (
        "runs: {a: {learning_rate_multipliers: {conv: '1'}}}\n",
        1,
        "runs.a.learning_rate_multipliers.conv",
        ["'1' is text"],
    ),
    ("runs:\n  b: {<<: {epochs: '2'}}\n", 2, "runs.b.epochs", ["'2' is text"]),
    ("study: &a '5'\ntraining: {epochs: *a}\n", 1, "training.epochs", ["'5' is text"]),
    ('{"training": {"epochs": "3"}}', 1, "training.epochs", ["'3' is text"]),
    ("- study\n", 1, "", ["no settings at the top level"]),
    ("study\n", 1, "", ["no settings at the top level"]),
    ("# study: a\n", 1, "", ["no settings at the top level"]),
    ("", 1, "", ["no settings at the top level"]),
    ("training:\n", 1, "training", ["nothing instead of a group"]),
    ("study: a\nruns:\n", 2, "runs", ["nothing instead of a group"]),
    ("runs: {a: []}\n", 1, "runs.a", ["a list instead of a group"]),
    ("runs: {a: {head: }}\n", 1, "runs.a.head", ["nothing instead of a group"]),
    (
        "dataset: {synthetic: 5}\n",
        1,
        "dataset.synthetic",
        ["a number instead of a group"],
    ),
    (b"study: a\nseeds: \xff\n", 2, "", ["not UTF-8"]),
    ("study: a\nseeds: [1\n", 3, "", ["not valid YAML"]),
    ("study: a: b\n", 1, "", ["not valid YAML"]),
    ("study: a\n---\nstudy: b\n", 2, "", ["not valid YAML"]),
    ("study: \x07\n", 1, "", ["not readable as YAML"]),
    ("a: " + "[" * 5000, 1, "", ["not readable as YAML"]),
    ("study: Größe\n".encode("latin-1"), 1, "", ["not UTF-8; save"]),
    ("study: a\n".encode("utf-16"), 1, "", ["not UTF-8; save"]),
    (bytes(range(256)), 2, "", ["not UTF-8; save"]),
    (b"study: a\0\n", 1, "", ["not readable as YAML"]),
    ("training:\n\tepochs: 1\n", 2, "", ["not valid YAML"]),
    ("a: &a [*a]\n", 1, "", ["an alias stands within its own value"]),
    ("report:\n  title: 2026-99-99\n", 2, "", ["'2026-99-99' is a date", "put it in quotes"]),
    (f"seeds: [{'9' * 5000}]\n", 1, "", ["is a number to YAML, but not a valid one"]),
    (f'{{"seeds": [{"9" * 5000}]}}', 1, "", ["is a number to YAML, but not a valid one"]),
    ("seeds: [!!int one]\n", 1, "", ["'one' is a number to YAML, but not a valid one"]),
    ("study: !!bool perhaps\n", 1, "", ["'perhaps' is a truth value to YAML"]),
    ("study: !!timestamp x\n", 1, "", ["'x' is a date to YAML"]),
    ("study: a\ntraining: {<<: 5}\n", 2, "training", ["a number instead of a group"]),
    ("study: !mine a\n", 1, "", ["not valid YAML (could not determine a constructor"]),
    ("study: !!binary ü\n", 1, "", ["not valid YAML (failed to convert"]),
    (
        "title: !!python/object/apply:os.system ['touch executed']\n",
        1,
        "",
        ["could not determine a constructor for the tag"],
    ),
    ("study: =\n", 1, "", ["could not determine a constructor"]),
    ("study: a\ntraining: &b {head: *b}\n", 2, "", ["an alias stands within its own value"]),
]


@pytest.mark.parametrize(
    ("text", "line", "path", "words"), FILE_MISTAKES, ids=lambda value: ascii(value)[:40]
)
def test_a_mistake_in_a_file_is_one_line_with_line_and_key(check, text, line, path, words):
    message = check(text)
    prefix = f"line {line}: {path}: " if path else f"line {line}: "
    assert message is not None
    assert message.startswith(prefix)
    for word in words:
        assert word in message.removeprefix(prefix)


@pytest.mark.parametrize(
    "text",
    [
        "study: '5'\nreport: {title: '2026', introduction: \"no\"}\n",
        "training: {learning_rate: 1e-3, precision: 'auto', frozen: ['1']}\n",
        "dataset: {sha256: '1234'}\n",
        "runs:\n  a: &a {epochs: 1}\n  b:\n    <<: *a\n    epochs: 2\n  c: {<<: [*a, *a], epochs: 3}\n",
        "runs: {a: null, b: ~, c: }\n",
        "'1': a\n",
        "\ufeffstudy: a\n",
        '{\n\t"study": "a",\n\t"training": {"epochs": 3, "learning_rate": 1e-3}\n}\n',
        "a: &a [1]\nb: [*a, *a]\nc: {a: *a}\n",
        "__use_yte__: true\ntraining: ?group\nseeds: ['?seed']\n",
    ],
)
def test_what_a_file_may_hold(check, text):
    assert check(text) is None


@pytest.mark.parametrize("name", ["config.yaml", *OVERLAYS])
def test_the_shipped_files_pass(name):
    check_file(CONFIG / name)


@pytest.mark.parametrize(
    "link",
    [
        "b{}: &a{} [*a{}, *a{}, *a{}, *a{}, *a{}, *a{}, *a{}, *a{}]",
        "b{}: &a{} {{x: *a{}, y: *a{}, z: *a{}, u: *a{}, v: *a{}, w: *a{}}}",
        "b{}: &a{} {{<<: [*a{}, *a{}, *a{}, *a{}, *a{}, *a{}]}}",
    ],
)
def test_an_alias_bomb_takes_no_time(check, link):
    lines = ["b: &a0 {x: 1}"]
    lines += [link.format(i, i, *[i - 1] * 8) for i in range(1, 40)]
    start = time.monotonic()
    message = check("\n".join(lines))
    assert message and "aliases stand for more than 100000 values; write fewer" in message
    assert time.monotonic() - start < 5


def test_what_can_be_read_only_once_is_not_checked(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    check_file(tmp_path / "pipe")
    check_file(tmp_path / "missing.yaml")


def test_a_folder_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}: a folder instead of a config file; "):
        check_file(tmp_path)


@pytest.mark.parametrize(
    ("overlay", "key"),
    [
        ("training: {learning_rate_multipliers: {}}", "training.learning_rate_multipliers"),
        ("training: {}", "training"),
        ("runs: {a: {optimiser: {}}}", "runs.a.optimiser"),
    ],
)
def test_an_overlay_that_empties_a_mapping_is_refused_since_merging_keeps_it(
    tmp_path, overlay, key
):
    base, other = tmp_path / "config.yaml", tmp_path / "overlay.yaml"
    base.write_text(
        "training: {learning_rate_multipliers: {dense: 0.25}}\nruns: {a: {optimiser: {beta_1: 0.8}}}"
    )
    other.write_text(overlay)
    with pytest.raises(InputError) as error:
        merged_files([base, other])
    assert str(error.value).startswith(f"{other}: {key}: an empty mapping removes nothing")
    merged_files([other, base])  # here it is what it says


def test_a_json_file_indented_by_tabs_is_read_like_any_other(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{\n\t"study": "tabs",\n\t"training": {"learning_rate": 1e-3}\n}')
    check_file(path)
    assert merged_files([path]) == {"study": "tabs", "training": {"learning_rate": 0.001}}


def test_every_shipped_overlay_merges():
    for path in (ROOT / "config").rglob("*.yaml"):
        if path.name not in ("config.yaml", "reference.yaml"):
            base = re.search(r"An overlay for (\S+\.yaml)", path.read_text(encoding="utf-8"))
            before = ["config.yaml", *([base[1]] if base else [])]
            merged_files([*(ROOT / "config" / name for name in before), path])


def test_a_run_that_is_not_there_cannot_be_removed_by_a_misspelt_name(tmp_path):
    path = tmp_path / "overlay.yaml"
    path.write_text("runs: {pytorch-sratch: null, gone: null}")
    with pytest.raises(InputError, match=r"overlay.yaml: runs.pytorch-sratch: .*'pytorch-scratch'"):
        merged_files([ROOT / "config" / "config.yaml", path])


def test_what_comes_from_no_file_is_given_beside_them(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("study: a\ntraining: {epochs: 3, dropout: 0.1}\nruns: {a: {}, b: {}}")
    merged = {"study": "x", "training": {"epochs": 3, "dropout": 0.2}, "runs": {"a": {}}}
    assert values_beside(merged, [path]) == {"study": "x", "training": {"dropout": 0.2}}
    assert values_beside(merged_files([path]), [path]) == {}
