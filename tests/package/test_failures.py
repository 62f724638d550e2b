"""The last screen of a run in which jobs failed: each with the line that matters and its log."""

import time

import pytest
from twinbench.failures import describe_failure

START = "02:47:36 AlexNet in bfloat16 on cpu\n"
LOGS = {
    "invalid input": (
        f"{START}02:48:00 error: a.csv: no such file\n",
        "  error: a.csv: no such file",
    ),
    "missing library": ("error: python lacks torch\n", "  error: python lacks torch"),
    "interruption": (
        f"{START}02:48:00 interrupted after epoch 3: saved\n",
        "  interrupted after epoch 3",
    ),
    "bug": (
        f"{START}02:48:00 unexpected error, please report it\nTraceback (most recent call last):\n"
        "  File 'x.py', line 1\nKeyError: 'epoch'\n",
        "  KeyError: 'epoch'",
    ),
    "broken import": (
        "Traceback (most recent call last):\n  a\nImportError: b\n",
        "  ImportError: b",
    ),
    "kill": (START, f"killed, or out of memory? Last line: {START.strip()}"),
}


@pytest.mark.parametrize(("text", "line"), LOGS.values(), ids=LOGS)
def test_the_line_that_matters_stands_between_the_job_and_its_log(tmp_path, text, line):
    log = tmp_path / "train.log"
    log.write_text(text)
    first, reason, last = describe_failure("Training a, seed 1", [log], 0).splitlines()
    fate = "Stopped" if "interrupted" in text else "Failed"
    assert (first, last) == (f"{fate}: Training a, seed 1", f"  log: {log}")
    assert line in reason


def test_a_log_of_an_earlier_start_is_not_shown(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("02:48:00 error: mended meanwhile\n")
    text = describe_failure("Training a, seed 1", [log, tmp_path / "none"], time.time() + 10)
    assert "before it wrote to its log" in text and "mended" not in text
