"""The study's own config file is checked before Snakemake reads it: one line that names it, at once."""

import time

import pytest

FILE = "config/config.yaml"
MERGES = ["b0: &a0 {x: 1}"]
MERGES += [f"b{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 6)}]}}" for i in range(1, 40)]
# One of each kind that Snakemake itself would choke on; the others are in config/test_reading.py.
FAULTY = {
    "UTF-16": ("study: a\n".encode("utf-16"), "not UTF-8"),
    "a number as key": (b"study: a\n1: b\n", "the key '1' is a number"),
    "merged aliases": ("\n".join(MERGES).encode(), "aliases stand for more than"),
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
