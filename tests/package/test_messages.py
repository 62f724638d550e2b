"""What messages tell users to do again: to start, after they have deleted what is named.

Where a damaged file stays, to start again alone repeats the error, and how is one to "train again"?
"""

import ast
import re

import pytest
from support import SCRIPTS

# The report's own sentences are about experiments, not about what to do with a file.
FILES = sorted(
    path
    for path in SCRIPTS.rglob("*.py")
    if not path.is_relative_to(SCRIPTS / "twinbench" / "report")
)
KNOWN = re.compile(r"\b(start|starts|try|trying) again")


def texts(path) -> list[str]:
    """The strings of a module, without its docstrings."""
    tree = ast.parse(path.read_bytes())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [
        node.value
        for node in constants
        if isinstance(node.value, str) and id(node) not in docstrings
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_again_is_only_said_of_starting(path):
    for text in texts(path):
        assert len(KNOWN.findall(text)) == len(re.findall(r"\bagain\b", text)), text
