"""The report as Markdown and as one HTML page that needs nothing else."""

import base64
import csv
import io
from functools import partial
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from twinbench.errors import InputError
from twinbench.language import Language
from twinbench.report.blocks import Cell, Figure, Report, Section, Table

# Raw HTML stays text: a title or a note comes from a user's file.
_MARKDOWN = MarkdownIt("commonmark", {"html": False})


def markdown(report: Report, templates: Path, figures: str) -> str:
    """The report alone; `figures` is the path of their folder, relative to the report's."""
    template = _environment(templates).get_template("report.md.jinja")
    return _tidy(template.render(report=report, appendix=None, figures=figures))


def appendix(section: Section, templates: Path, figures: str) -> str:
    """An appendix as a file of its own."""
    template = _environment(templates).get_template("report.md.jinja")
    return _tidy(template.render(report=None, appendix=section, figures=figures))


def page(report: Report, templates: Path, figures: Path, data: list[Path], say: Language) -> str:
    """The whole report as HTML: pictures from the folder `figures` and the tables `data` inside."""
    environment = _environment(templates, autoescape=True)
    # Appendices are parts of the page, not files beside it.
    names = [part.name for part in report.appendices]
    environment.filters["inline"] = partial(_inline, appendices=names)
    environment.filters["markdown"] = _paragraphs
    environment.filters["image"] = partial(_image, folder=figures)
    environment.filters["csv"] = _csv
    return environment.get_template("page.html.jinja").render(
        report=report,
        language=say.code,
        contents_title=say("Contents"),
        data_title=say("The data behind this page:"),
        data={path.name: _base64(path.read_bytes()) for path in data},
    )


def _environment(templates: Path, autoescape: bool = False) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["text"] = _text
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment


def _tidy(text: str) -> str:
    """One blank line between blocks, none at the end."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    return "\n".join(lines).strip() + "\n"


def _cell(value: str | Cell) -> str:
    """A text for a Markdown table: one line, without what would end the cell."""
    return " ".join(_text(value).split()).replace("|", "\\|")


def _text(value: str | Cell) -> str:
    return value.text if isinstance(value, Cell) else value


def _inline(text: str, appendices: list[str]) -> Markup:
    for name in appendices:
        text = text.replace(f"]({name}.md)", f"](#{name})")
    return Markup(_MARKDOWN.renderInline(text))


def _paragraphs(text: str) -> Markup:
    return Markup(_MARKDOWN.render(text))


def _image(figure: Figure, folder: Path) -> str:
    """The figure's PNG, in base64."""
    path = folder / f"{figure.name}.png"
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):  # its signature
        raise InputError(
            f"{path}: not a PNG; delete {folder} and start again: it will be recreated"
        )
    return _base64(content)


def _csv(table: Table) -> str:
    """The table with all digits, in base64."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.header)
    for row in table.rows:
        writer.writerow(
            cell.value if isinstance(cell, Cell) else cell.replace("**", "").replace("`", "")
            for cell in row
        )
    return _base64(text.getvalue().encode())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
