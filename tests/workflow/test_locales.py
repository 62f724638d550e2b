"""Files are UTF-8 in every locale: text with umlauts, from the config to the report's job."""

import ast
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace

import yaml
from support import ROOT, SCRIPTS
from tiny import ARCHIVE
from twinbench.analysis import tables

# Python decodes with ASCII then. By LC_ALL=C alone it would decode with UTF-8.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
TEXT = "Größe, ¿cuál?, 漢字, 🙂"
OVERLAY = {
    "study": "locale",
    "dataset": {"archive": "own.tar.gz", "sha256": hashlib.sha256(ARCHIVE).hexdigest()},
    "runs": dict.fromkeys(["pytorch-pretrained", "tensorflow-pretrained"]),
    "report": {"title": TEXT, "introduction": TEXT},
}
# Calls that open text, unless they name an encoding or read bytes.
OPENING = {"read_text", "write_text", "open", "fdopen", "TextIOWrapper", "FileHandler"}


def test_a_study_runs_in_any_locale(quick_workplace):
    place = replace(quick_workplace, variables=quick_workplace.variables | ASCII)
    text = "# ä\n" + yaml.safe_dump(OVERLAY, allow_unicode=True)
    (place.folder / "study.yaml").write_text(text, encoding="utf-8")
    result = place.snakemake("--printshellcmds", "--configfile", "study.yaml")
    assert result.returncode == 0, result.stdout[-3000:]
    assert "Error" not in result.stdout
    assert json.dumps(f"title={TEXT}")[1:-1].replace("title=", 'title="') in result.stdout


def test_a_mistake_is_still_one_line_in_any_locale(workplace):
    place = replace(workplace, variables=ASCII)
    (place.folder / "study.yaml").write_text("# ä\ntraining: {epochs: 'zwölf'}\n", encoding="utf-8")
    result = place.snakemake("--dry-run", "--configfile", "study.yaml")
    assert result.returncode == 1
    assert "study.yaml, line 2: training.epochs: " in result.stdout
    assert "logging error" not in result.stdout.lower()


def test_scripts_read_and_write_utf_8_in_any_locale(tmp_path):
    table, log = tmp_path / "table.csv", tmp_path / "log.txt"
    code = (
        "import sys, pandas as pd; from pathlib import Path; from twinbench import cli\n"
        "from twinbench.analysis import tables\n"
        "from twinbench.config.models import Report\n"
        "parser = cli.parser('', output=Path)\n"
        "cli.add_settings(parser, Report)\n"
        "def main(arguments):\n"
        "    table = pd.DataFrame({'text': [arguments.settings.title]})\n"
        "    tables.write(table, arguments.output)\n"
        "    cli.log.info('%s', tables.read(arguments.output)['text'][0])\n"
        "cli.run(main, parser)\n"
    )
    words = [f"title={json.dumps(TEXT)}", "--output", table, "--log", log]
    variables = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SCRIPTS)} | ASCII
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=variables, capture_output=True, encoding="ascii"
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert tables.read(table)["text"][0] == TEXT
    assert TEXT in log.read_text(encoding="utf-8")


def test_each_file_of_text_is_opened_with_a_named_encoding():
    found = []
    for folder in ("workflow", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
            found += [f"{path}:{call.lineno}" for call in calls if _decodes_by_locale(call)]
    for path in (ROOT / "workflow").rglob("*.smk"):
        text = path.read_text(encoding="utf-8")
        opened = re.findall(r"(?:open|read_text|write_text)\([^()]*\)", text)
        found += [f"{path}: {call}" for call in opened if "encoding=" not in call]
    assert not found


def _decodes_by_locale(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    owner = getattr(getattr(function, "value", None), "id", "")
    if "encoding" in given or name not in OPENING or owner in ("os", "tarfile", "gzip"):
        return False
    constants = [each for part in (*call.args, *given.values()) for each in ast.walk(part)]
    return not any(getattr(each, "value", None) in ("rb", "wb", "ab", "xb") for each in constants)
