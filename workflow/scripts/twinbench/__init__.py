"""The package behind the rules: the same experiment in two frameworks, and its analysis."""

import sys
from importlib.util import find_spec
from pathlib import Path

_script = Path(sys.argv[0]).resolve()
if _script.parent == Path(__file__).resolve().parents[1]:  # an entry script, run by some `python`
    _missing = [name for name in ("numpy", "pydantic", "safetensors") if find_spec(name) is None]
    if _missing:
        sys.exit(
            f"error: {sys.executable} lacks {', '.join(_missing)}; activate twinbench's environment "
            "(source .venv/bin/activate), then start again"
        )
