"""What importing a framework writes and imports besides: no notices but errors, and nothing in vain."""

import os
import signal
import subprocess
import sys

from support import SCRIPTS

IMPORT = "from twinbench.backends import backend_module; backend_module('tensorflow')"
DEATH = """
import os
from twinbench import backends
with backends._filtered_stderr("I[0-9]{4} "):
    os.write(2, b"I0000 a notice\\nF0000 the processor is too old\\n")
    os.abort()
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    environment |= {"PYTHONPATH": str(SCRIPTS)} | variables
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_tensorflow_is_imported_without_a_word_and_without_modules_that_later_imports_still_find():
    check = "import sys; assert not {'matplotlib', 'sklearn'} & sys.modules.keys()"
    result = run(f"{IMPORT}; {check}; import matplotlib, sklearn")
    assert (result.returncode, result.stderr) == (0, "")


def test_who_asks_for_the_notices_gets_them():
    assert "oneDNN custom operations are on" in run(IMPORT, TF_CPP_MIN_LOG_LEVEL="0").stderr


def test_a_process_that_dies_of_an_error_still_says_which():
    result = run(DEATH)
    assert result.returncode == -signal.SIGABRT
    assert result.stderr == "F0000 the processor is too old\n"
