"""What every entry script does with errors: one line for those that the user can fix."""

import subprocess
import sys

import pytest
from support import SCRIPTS

PROGRAM = """
from twinbench import cli
from twinbench.config.training import Training
def main(arguments):
    with open(arguments.output, "w") as file:
        file.write("x" * 100_000)
        print(arguments.settings.epochs)
parser = cli.parser(None, output=str)
cli.add_settings(parser, Training)
cli.run(main, parser)
"""


def run(*arguments: str, code: str = PROGRAM, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"PYTHONPATH": str(SCRIPTS), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def check_that_it_fails_in_one_line(result: subprocess.CompletedProcess, *words: str) -> None:
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert all(word in line for word in ("error: ", *words))


def test_settings_are_typed_arguments():
    result = run("epochs=3", "optimiser.beta_1=0.8", "--output", "/dev/null")
    assert (result.returncode, result.stdout) == (0, "3\n")


@pytest.mark.parametrize(
    ("setting", "key"),
    [("epochs=three", "epochs"), ("optimiser.beta_1=2", "optimiser.beta_1"), ("epoch=3", "epoch")],
)
def test_a_bad_setting_is_one_line_with_its_key(setting, key):
    check_that_it_fails_in_one_line(run(setting, "--output", "/dev/null"), key)


def test_a_full_disk_is_one_line_in_the_log_too(tmp_path):
    result = run("--output", "/dev/full", "--log", str(tmp_path / "log"))
    check_that_it_fails_in_one_line(result, "No space left on device")
    assert (tmp_path / "log").read_text() == result.stderr.replace(" -c: ", " ")


def test_a_log_is_emptied_unless_another_process_writes_to_it(tmp_path):
    path = tmp_path / "log"
    path.write_text("an earlier start\n")
    program = "from twinbench import cli; cli.run(lambda _: {}, cli.parser(None))"
    command = [sys.executable, "-c", program.format("(cli.log.info('first'), input())")]
    first = subprocess.Popen(
        [*command, "--log", str(path)],
        env={"PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first.stderr.readline()  # its message is written
    run("--log", str(path), code=program.format("cli.log.info('second')"))
    first.communicate("\n")
    assert [line.split()[-1] for line in path.read_text().splitlines()] == ["first", "second"]
    run("--log", str(path), code=program.format("cli.log.info('third')"))
    assert [line.split()[-1] for line in path.read_text().splitlines()] == ["third"]


def test_a_log_that_cannot_be_written_is_one_line_and_ends_nothing():
    program = "[cli.log.info('message %d', n) for n in (1, 2, 3)]"
    program = f"from twinbench import cli; cli.run(lambda _: {program}, cli.parser(None))"
    result = run("--log", "/dev/full", code=program)
    assert result.returncode == 0
    first, warning, *others = result.stderr.splitlines()
    assert "message 1" in first and len(others) == 2
    assert "/dev/full" in warning and "No space left on device" in warning


@pytest.mark.parametrize("argument", ["--output", "--log"])
def test_a_missing_permission_is_one_line(argument):
    forbidden = "/sys/kernel/uevent_seqnum"  # which not even root may write
    paths = {"--output": "/dev/null", "--log": "/dev/null", argument: forbidden}
    check_that_it_fails_in_one_line(run(*(w for pair in paths.items() for w in pair)), forbidden)


def test_a_full_disk_is_one_line_where_a_library_in_rust_finds_it():
    code = PROGRAM.replace(
        "def main(arguments):",
        """def main(arguments):
    raise RuntimeError("I/O error: No space left on device (os error 28)")""",
    )
    result = run("--output", "/dev/null", code=code)
    check_that_it_fails_in_one_line(result, "No space left on device", "make room on the disk")


def test_a_line_on_the_console_names_its_job_and_one_in_the_log_does_not(tmp_path):
    code = PROGRAM.replace(
        "cli.run(main, parser)",
        """
cli.add_name(parser, lambda arguments: f"{arguments.settings.epochs} % done")
def main(arguments):
    cli.log.info("shown")
    cli.log.debug("a detail")
cli.run(main, parser)""",
    )
    result = run("epochs=3", "--output", "/dev/null", "--log", str(tmp_path / "log"), code=code)
    (line,) = result.stderr.splitlines()
    assert line.endswith(" 3 % done: shown")
    shown, detail = (tmp_path / "log").read_text().splitlines()
    assert shown == line.replace("3 % done: ", "") and detail.endswith(" a detail")


def test_a_missing_library_is_one_line():
    code = PROGRAM.replace(
        "def main(arguments):", "def main(arguments):\n    import no_such_library"
    )
    result = run("--output", "/dev/null", code=code)
    check_that_it_fails_in_one_line(result, "lacks no_such_library", "activate")


def test_an_interruption_is_one_line():
    code = PROGRAM.replace(
        "def main(arguments):", "def main(arguments):\n    raise KeyboardInterrupt"
    )
    result = run("--output", "/dev/null", code=code)
    assert result.returncode == 130
    assert result.stderr.endswith(" interrupted\n") and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "allocation",
    [
        "bytearray(1 << 60)",
        "__import__('numpy').ones(1 << 58, 'uint8')",
        "__import__('pyarrow').allocate_buffer(1 << 60)",
        "__import__('torch').empty(1 << 58)",
        "__import__('tensorflow').zeros([1 << 30, 1 << 28])",
        # What they say of a GPU's memory.
        *(
            f"(_ for _ in ()).throw(RuntimeError({text!r}))"
            for text in (
                "CUDA error: out of memory",
                "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                "cudaSetDevice() on GPU:0 failed. Status: out of memory",
            )
        ),
    ],
    ids=["Python", "NumPy", "Arrow", "PyTorch", "TensorFlow", "CUDA", "cuBLAS", "a CUDA context"],
)
def test_memory_that_ran_out_is_one_line_that_says_what_to_do(allocation):
    program = f"from twinbench import cli; cli.run(lambda _: {allocation}, cli.parser(None))"
    result = run(code=program, TF_CPP_MIN_LOG_LEVEL="3")
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert "memory ran out" in line and "batch_size" in line and "Traceback" not in result.stderr


def test_a_bug_keeps_its_traceback(tmp_path):
    result = run("--output", str(tmp_path))
    assert result.returncode == 1
    assert "Traceback" in result.stderr and "IsADirectoryError" in result.stderr


def test_a_python_without_the_packages_is_one_line_that_names_it_in_the_log_too(tmp_path):
    log = tmp_path / "log"
    # Without site-packages, as when the environment is not activated.
    command = [sys.executable, "-S", SCRIPTS / "generate_archive.py", "--log", log]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"error: {sys.executable} lacks " in line and "activate" in line
    assert log.read_text() == result.stderr
