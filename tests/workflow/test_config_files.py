"""The study's own config file is checked before Snakemake reads it: one line that names it, at once."""

import time

import pytest

FILE = "config/config.yaml"
MERGES = ["b0: &a0 {x: 1}"]
MERGES += [f"b{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 6)}]}}" for i in range(1, 40)]
GROUPS = ["b0: &a0 {x: 1}"]
GROUPS += [f"b{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}, z: *a{i - 1}}}" for i in range(1, 60)]
FAULTY = {
    "Latin-1": ("study: Größe\n".encode("latin-1"), "not UTF-8"),
    "UTF-16": ("study: a\n".encode("utf-16"), "not UTF-8"),
    "binary": (bytes(range(256)), "not UTF-8"),
    "NUL": (b"study: a\0\n", "not readable as YAML"),
    "a tab": (b"training:\n\tepochs: 1\n", "not valid YAML"),
    "empty": (b"", "no settings at the top level"),
    "a list": (b"- study\n", "no settings at the top level"),
    "a list as key": (b"study: a\n? [a]\n: b\n", "a list instead of a key"),
    "a number as key": (b"study: a\n1: b\n", "the key '1' is a number"),
    "nothing as key": (b"study: a\n~: b\n", "the key '~' is nothing"),
    "a truth value as key": (b"study: a\non: b\n", "the key 'on' is a truth value"),
    "a repeated key": (b"study: a\nstudy: b\n", "the key 'study' is also in line 1"),
    "a value within itself": (b"training: &a {head: *a}\n", "an alias stands within its own"),
    "merged aliases": ("\n".join(MERGES).encode(), "aliases stand for more than"),
    "groups of aliases": ("\n".join(GROUPS).encode(), "aliases stand for more than"),
    "a date that is none": (b"study: a\nreport: {title: 2026-99-99}\n", "'2026-99-99' is a date"),
    "an endless number": (b"seeds: [%s]\n" % (b"9" * 5000), "is a number to YAML, but not a valid"),
    "code": (b"study: !!python/object/apply:os.system [exit]\n", "could not determine a constr"),
    "depth": (b"a: " + b"[" * 5000, "not readable as YAML"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_file_is_named_at_once(workplace, plan, name):
    content, words = FAULTY[name]
    (workplace.folder / FILE).write_bytes(content)
    start = time.monotonic()
    status, output = plan(workplace, "--dry-run")
    assert time.monotonic() - start < 60
    assert status == 1
    (line,) = [line for line in output.splitlines() if line.startswith(f"{FILE}, line ")]
    assert words in line
    assert "Traceback" not in output


def test_a_folder_in_its_place_is_named(workplace, plan):
    (workplace.folder / FILE).unlink()
    (workplace.folder / FILE).mkdir()
    status, output = plan(workplace, "--dry-run")
    assert status == 1
    assert f"{FILE}: a folder instead of a config file; give a file" in output
    assert "Traceback" not in output
