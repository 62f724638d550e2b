"""Which Python the rules' commands find."""

import os
import sys
from pathlib import Path


def put_first_on_path() -> None:
    """Let `python` be the interpreter of this process, whether or not its environment is activated."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
