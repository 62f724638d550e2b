"""Variables of the environment with nonsense in them."""

import os
import subprocess
import sys

import pytest
from analysis.fake_study import FakeRun, FakeStudy
from support import SCRIPTS, make_job, training_arguments
from twinbench.training import devices

NO_GPU = (
    "training.device: gpu was requested, but no GPU is visible; set auto or cpu, or check "
    "CUDA_VISIBLE_DEVICES and `nvidia-smi`"
)


def test_a_training_that_wants_a_gpu_and_may_see_none_is_refused(
    refuse, folder, unusable_gpu, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    words = training_arguments(make_job(device="gpu"), "pytorch", folder)
    refuse(NO_GPU, "train.py", *words, outputs=["history.csv"])


@pytest.mark.parametrize("value", ["1", "x" * 300], ids=["an index", "a long name"])
def test_a_training_that_wants_a_gpu_that_is_not_there_says_which(
    folder, run_script, unusable_gpu, monkeypatch, caplog, value
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    words = training_arguments(make_job(device="gpu"), "pytorch", folder)
    assert run_script("train.py", words) == 1
    assert caplog.messages == [
        f"CUDA_VISIBLE_DEVICES={value}: there is no GPU {value}, so it and all after it are ignored, as "
        "CUDA does; `nvidia-smi -L` lists the names",
        f"error: {NO_GPU}",
    ]
    assert not (folder / "history.csv").exists()


@pytest.mark.parametrize("variable", ["CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"])
@pytest.mark.parametrize(
    "value",
    ["../../x", "/etc", "a b;c", "x" * 5000, "\n", "ü漢"],
    ids=lambda value: ascii(value[:9]),
)
def test_a_lease_stays_in_its_folder_whatever_it_is_called(folder, monkeypatch, variable, value):
    """Where nothing lists the devices, their names are believed."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv(variable, value)
    with devices.leased("gpu" if value.strip() else "auto", system=folder):
        made = [path.relative_to(folder / "temporary") for path in folder.rglob("*")]
    assert all(str(path).startswith("twinbench-devices-") or str(path) == "." for path in made)


def test_figures_need_no_backend_that_a_notebook_sets(folder):
    fake = FakeStudy(folder, {"a": FakeRun()}, images=20)
    words = ["dpi=50", "language=en", "equivalence_margin=0.01", "--figures", "figures"]
    words += ["--directory", "runs", "--metrics", "missing.csv", "--comparisons", "missing.csv"]
    done = subprocess.run(
        [sys.executable, SCRIPTS / "plot_figures.py", *fake.arguments, *words],
        env=os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        capture_output=True,
        text=True,
    )
    assert done.stderr.endswith(
        "error: missing.csv: no such file; start again: it will be recreated\n"
    )
    assert "Traceback" not in done.stderr
