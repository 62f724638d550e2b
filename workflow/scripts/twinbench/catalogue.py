"""Keeps a catalogue of translations in step with the code.

python -m twinbench.catalogue workflow/report/es.po

New texts are added without a translation, those that the code does not have any more are removed, and
all others keep theirs. The texts are those of calls with a literal text, `say("...")`,
`say.plural("...", "...", ...)` and `translatable("...")`, and those of the configs in config/.
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import yaml
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from twinbench.errors import InputError
from twinbench.files import written_atomically
from twinbench.language import read_catalogue

_PACKAGE = Path(__file__).parent
_CONFIGS = Path(__file__).parents[3] / "config"
# Which arguments of which calls; `self` in `Language`, and a parity check's name.
_CALLS = {"say": None, "self": None, "plural": (1, 2), "translatable": None, "Check": (1,)}
_KEYS = ("title", "introduction", "note")  # of configs and of results reported elsewhere
# Without dates and versions, which would differ at each run. Plural forms as `Language.plural` chooses.
_HEADER = r"""# Texts of the report. `make generate` keeps them in step with the code.
msgid ""
msgstr ""
"Language: {code}\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

"""


def updated(path: Path) -> str:
    """The catalogue's file with the texts of the code, in the order of the source."""
    code = path.stem
    known = read_catalogue(path, code)
    header = _HEADER.format(code=code)
    result = read_po(BytesIO(header.encode()), locale=code)
    for text in dict.fromkeys(_texts()):
        found = known.get(text)
        message = result.add(text, found.string if found else None)
        # Guessed from a per cent sign, and without meaning here.
        message.flags -= {"python-format", "python-brace-format"}
    file = BytesIO()
    write_po(file, result, width=100, no_location=True, omit_header=True)
    return header + file.getvalue().decode()


def _texts() -> Iterator[str | tuple[str, ...]]:
    methods = [("**.py", "python")]
    # In the order of the files' names on every machine.
    found = extract_from_dir(_PACKAGE, methods, keywords=_CALLS)
    for *_, text, _, _ in sorted(found, key=lambda each: each[:2]):
        yield text
    for path in sorted(_CONFIGS.rglob("*.yaml")):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        texts = {**config, **config.get("report", {})}
        yield from (texts[key] for key in _KEYS if texts.get(key))


if __name__ == "__main__":
    catalogue = Path(sys.argv[1])
    try:
        text = updated(catalogue)
    except InputError as error:
        sys.exit(f"error: {error}")
    with written_atomically(catalogue) as path:
        path.write_text(text, encoding="utf-8")
