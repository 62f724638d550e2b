"""The package behind the rules: the same experiment in two frameworks, and its analysis."""

import sys
from importlib.util import find_spec

if find_spec("pydantic") is None:  # the `python` of another environment was found first
    sys.exit(
        f"error: {sys.executable} lacks the packages that twinbench needs; "
        "activate its environment (source .venv/bin/activate), then start again"
    )
