"""A job that failed is tried again with more memory and time, whatever the rule."""

import re
import shutil
from dataclasses import replace

from support import ROOT
from tiny import ARCHIVE, FETCHED, search_path

# Fails twice, then goes on as the stand-in for python.
FAILING = """#!/bin/sh
echo >> attempts
[ $(wc -l < attempts) -gt 2 ] || exit 1
exec {stand_in} "$@"
"""


def test_each_retry_has_as_much_again(workplace, stand_in_variables, tmp_path):
    rules = workplace.folder / "workflow/rules/dataset.smk"
    text = re.sub(r" +message:\n.*\n", "", rules.read_text(encoding="utf-8"))
    rules.write_text(text, encoding="utf-8")  # Snakemake prints resources in a message's place
    place = replace(workplace, variables=stand_in_variables)
    (place.folder / "own.tar.gz").write_bytes(ARCHIVE)
    assert place.snakemake("import_archive", overlay=FETCHED).returncode == 0
    program = tmp_path / "programs" / "python"
    program.parent.mkdir()
    stand_in = shutil.which("python", path=stand_in_variables["PATH"])
    program.write_text(FAILING.format(stand_in=stand_in), encoding="utf-8")
    program.chmod(0o755)
    place = replace(workplace, variables={"PATH": search_path(program.parent)})
    result = place.snakemake("build_tensors", "--retries", "2", overlay=FETCHED)
    assert result.returncode == 0, result.stdout
    assert re.findall(r"resources:.*\bmem_mb=(\d+)", result.stdout) == ["2000", "4000", "6000"]
    assert re.findall(r"resources:.*\bruntime=(\d+)", result.stdout) == ["15", "30", "45"]


def test_a_download_is_one_job_whose_script_tries_again(workplace, tmp_path):
    """A profile's retries would fetch a file with another checksum again and again."""
    program = tmp_path / "programs" / "python"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho >> attempts\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    place = replace(workplace, variables={"PATH": search_path(program.parent)})
    arguments = ("download_archive", "--retries", "3", "--profile", "profiles/default")
    assert place.snakemake(*arguments).returncode == 1
    assert (place.folder / "attempts").read_text(encoding="utf-8") == "\n"


def test_no_rule_has_a_fixed_amount():
    """It would beat the default-resources of a profile, which grow."""
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        amounts = re.findall(r"\b(?:mem_mb|runtime)=(\S+)", path.read_text(encoding="utf-8"))
        assert all(
            re.fullmatch(r"scaled\((\d+|TRAINING_MEMORY)\),", amount) for amount in amounts
        ), path
