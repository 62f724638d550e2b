"""The pages: links lead somewhere, commands name what there is, and generated parts are up to date."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image
from snakemake.cli import get_argument_parser
from snakemake.utils import update_config
from support import ROOT
from twinbench.analysis import comparisons, metrics
from twinbench.analysis.reading import HISTORY_COLUMNS
from twinbench.config.models import Config
from twinbench.data.archive import read_archive
from twinbench.networks import architectures
from twinbench.parity import comparing

PAGES = sorted(
    path
    for folder in (".", "docs", "docs/example/*", "config")
    for path in ROOT.glob(f"{folder}/*.md")
)
GUIDES = [page for page in PAGES if "example" not in page.parts]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for heading, text in zip(tokens(page), tokens(page)[1:], strict=False):
        if heading.type == "heading_open":
            words = "".join(
                part.content for part in text.children or [] if part.type in ("text", "code_inline")
            )
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return set(found)


def links(page: Path) -> list[str]:
    """Relative ones, of text and of images."""
    inline = [part for token in tokens(page) for part in token.children or []]
    targets = [part.attrGet("href") or part.attrGet("src") for part in inline]
    return [str(target) for target in targets if target and not re.match(r"\w+:", str(target))]


def blocks(page: Path, language: str) -> list[str]:
    return [token.content for token in tokens(page) if token.info == language]


def commands(program: str) -> list[list[str]]:
    """The words of each command of the pages that calls the program."""
    lines = [
        command.split("#")[0]
        for page in GUIDES
        for block in blocks(page, "bash")
        for line in block.splitlines()
        for command in line.split("&&")
    ]
    return [words for line in lines if (words := line.split()) and words[0] == program]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in links(index)}
    assert {page for page in GUIDES if page.parent == index.parent} - {index} <= listed


def test_the_readme_is_short_before_its_reference_part():
    first, _, _ = (ROOT / "README.md").read_text().partition("\n## Reference\n")
    prose = re.sub(r"```.*?```|<!--.*?-->|\]\(.*?\)", " ", first, flags=re.S)
    assert len(re.findall(r"\S*\w\S*", prose)) <= 600


def test_the_generated_parts_are_up_to_date():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    command = [sys.executable, ROOT / "docs" / "generate.py", "--check"]
    subprocess.run(command, env=environment, check=True)


def test_the_pages_snakemake_commands_have_options_that_there_are():
    parser = get_argument_parser()
    options = {option for action in parser._actions for option in action.option_strings}
    found = [word for words in commands("snakemake") for word in words if word.startswith("-")]
    assert len(found) > 30
    # A plugin that is not installed has its options, too.
    assert {option for option in found if not option.startswith("--cluster-generic-")} <= options


def test_the_pages_set_keys_that_there_are():
    settings = [
        word.partition("=")[0]
        for words in commands("snakemake")
        if "--config" in words
        for word in words[words.index("--config") + 1 :]
        if "=" in word
    ]
    assert settings
    assert set(settings) <= set(Config.model_fields)


def test_the_pages_make_targets_that_there_are():
    makefile = (ROOT / "Makefile").read_text()
    targets = {words[1] for words in commands("make")}
    assert "demo" in targets
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.M), target


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_the_files_that_a_page_names_are_there(page):
    named = re.findall(
        r"\b(?:config/[\w/-]+\.yaml|(?:profiles|benchmarks|tests)/[\w/.-]*\w)", page.read_text()
    )
    assert not [file for file in named if not (ROOT / file).exists()]


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_the_settings_that_a_page_shows_are_valid(page):
    for block in blocks(page, "yaml"):
        if "..." in block:
            continue
        shown = yaml.safe_load(block)
        runs = {name: run for name, run in (shown.get("runs") or {}).items() if run}
        shown.pop("runs", None)
        shown |= {"runs": runs} if runs else {}  # null removes one
        for run in runs.values():
            run.pop("model", None)  # of a network that the page adds
        assert not list(Draft202012Validator(SCHEMA).iter_errors(shown)), block


def test_the_page_makes_an_archive_of_ones_own_images(tmp_path):
    classes = [f"class {number}" for number in range(10)]
    for split, shade in (("train", 100), ("test", 200)):
        for number, name in enumerate(classes):
            for copy in range(5):
                path = tmp_path / split / name / f"{copy}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40, 50), (number, shade, copy)).save(path)
    (code,) = blocks(ROOT / "docs/how-to.md", "python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    archive = read_archive(tmp_path / "mine.tar.gz")
    assert archive.class_names == classes
    for samples, shade in ((archive.train, 100), (archive.test, 200)):
        assert len(samples.labels) == 50 and (samples.images[..., 1] == shade).all()
        assert (samples.images[:, 0, 0, 0] == samples.labels).all()


def test_the_page_adds_a_network(tmp_path):
    code = blocks(ROOT / "docs/extending.md", "python")[0]
    names = dict(vars(architectures), ARCHITECTURES={})
    exec(code, names)
    assert names["ARCHITECTURES"].keys() == {"small"}


def test_each_result_has_overlays_that_make_a_study():
    rows = [
        line
        for line in (ROOT / "docs/results.md").read_text().splitlines()
        if "](../config" in line
    ]
    combinations = [re.findall(r"\(\.\./(config/[\w/.-]+)\)", row) for row in rows]
    assert {path for paths in combinations for path in paths if "results/" in path} == {
        str(path.relative_to(ROOT)) for path in ROOT.glob("config/results/*.yaml")
    }
    for paths in combinations:
        config: dict = {}
        for path in ("config/config.yaml", *paths):
            update_config(config, yaml.safe_load((ROOT / path).read_text()))
        assert not list(Draft202012Validator(SCHEMA).iter_errors(config)), paths


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("metrics.csv", set(metrics.COLUMNS)),
        ("comparisons.csv", set(comparisons.Comparison.__dataclass_fields__)),
        ("parity.csv", set(comparing.COLUMNS)),
        (
            "history.csv",
            {*HISTORY_COLUMNS, "learning_rate", "dead_relus", "collapsed"},
        ),
    ],
)
def test_every_column_of_a_table_is_described(table, columns):
    text = (ROOT / "docs" / "outputs.md").read_text()
    _, _, section = text.partition(f"\n## {table}\n")
    rows = [
        line.split("|")[1]
        for line in section.partition("\n## ")[0].splitlines()
        if line[:3] == "| `"
    ]
    assert {column for row in rows for column in re.findall(r"`(\w+)`", row)} == columns
