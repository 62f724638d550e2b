import subprocess
import sys

import frameworks  # noqa: F401, imports both in the only order that works
import pytest
from support import SCRIPTS


@pytest.fixture
def start_program():
    """Starts processes of Python programs that get the folder of the package and further arguments."""
    processes = []

    def start(program: str, *arguments, **options) -> subprocess.Popen:
        command = [sys.executable, "-c", program, str(SCRIPTS), *map(str, arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
