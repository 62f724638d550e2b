"""What is done to a copy of the project before Snakemake runs in it."""

import re
import sys
from dataclasses import replace

import stand_in
from support import write_program
from tiny import Workplace, search_path

STAND_IN = f"{sys.executable} -S {stand_in.__file__}"


def with_python(place: Workplace, text: str) -> Workplace:
    """The place, but that its jobs find this program as `python`."""
    folder = write_program(place.folder.parent / "programs" / "python", text)
    return replace(place, variables={"PATH": search_path(folder)})


def show_resources(place: Workplace, rules: str) -> None:
    """Take the messages out of a rule file: Snakemake prints a job's resources in a message's place."""
    path = place.folder / "workflow" / "rules" / rules
    text, count = re.subn(r" +message:\n.*\n", "", path.read_text(encoding="utf-8"))
    assert count
    path.write_text(text, encoding="utf-8")


def resources(output: str, rule: str, name: str) -> list[str]:
    """The amounts of a resource that jobs of a rule got, by what Snakemake prints of them."""
    return re.findall(rf"rule {rule}:\n(?:    .*\n)*?.*\b{name}=(\d+)", output)
