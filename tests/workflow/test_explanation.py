"""What would run, why and how long: told in the user's words, before anything runs."""

import copy
import os
import re
import subprocess
import sys

import pytest
import yaml
from tiny import TINY
from twinbench.explanation import Task, changes, text, total_seconds


def test_a_changed_key_is_told_by_its_path_with_both_values():
    old = {"run": "a", "training": {"learning_rate": 0.0006, "frozen": []}}
    new = {"run": "a", "training": {"learning_rate": 0.001, "frozen": ["conv"], "device": "gpu"}}
    assert list(changes(old, new)) == [
        "training.learning_rate 0.0006 -> 0.001",
        'training.frozen [] -> ["conv"]',
        'training.device (not set) -> "gpu"',
    ]
    assert list(changes(old, old)) == []


def test_of_a_list_of_named_groups_the_keys_that_changed_are_told():
    old = {"twins": [{"name": "alexnet", "rate": 1}, {"name": "vgg16", "rate": 1}]}
    new = {"twins": [{"name": "vgg16", "rate": 2}, {"name": "alexnet", "rate": 1}]}
    assert list(changes(old, new)) == ["twins.vgg16.rate 1 -> 2"]


def task(name: str, seconds: float | None, *after: str, threads: int = 1) -> Task:
    return Task(name, ("because",), seconds, threads, frozenset(after))


@pytest.mark.parametrize(
    ("tasks", "cores", "expected"),
    [
        ([], 2, 0.0),
        ([task("a", 10), task("b", 20)], 2, 20.0),
        ([task("a", 10), task("b", 20)], 1, 30.0),
        ([task("a", 10), task("b", 20, "a")], 4, 30.0),
        ([task("a", 10, threads=8), task("b", 20, threads=8)], 4, 30.0),
        ([task("a", 10), task("b", None, "a"), task("c", 5, "b")], 2, 15.0),
        ([task("a", 10), task("b", 20), task("c", 5, "a"), task("d", 1, "b", "c")], 2, 21.0),
    ],
)
def test_the_time_of_all_respects_order_and_cores(tasks, cores, expected):
    assert total_seconds(tasks, cores) == expected


def test_the_last_line_counts_jobs_and_those_without_a_time():
    told = text([task("a", 90), task("b", None)], 5, 2)
    assert told.splitlines()[0] == "a (about 1:30 min)"
    assert told.endswith(
        "2 of 5 jobs would run, in about 1:30 min on 2 cores (1 of them without an earlier run to go by)"
    )


@pytest.fixture
def explained(finished):
    """Asks what a run of the finished study would do under an overlay; the files are put back."""

    def explain(overlay: dict, *arguments: str) -> str:
        (finished.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
        command = [sys.executable, "workflow/scripts/explain_run.py", *arguments]
        result = subprocess.run(
            [*command, "--cores", "2", "--configfile", "overlay.yaml"],
            cwd=finished.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    explain.folder = finished.folder
    yield explain
    finished.renew()


@pytest.mark.slow
class TestOfAFinishedStudy:
    def test_nothing_to_do_is_said(self, explained):
        assert explained(TINY) == "Nothing would run: every result is there and up to date.\n"

    def test_a_changed_setting(self, explained):
        overlay = copy.deepcopy(TINY)
        overlay["runs"]["pytorch-scratch"] = {"learning_rate": 0.001}
        told = explained(overlay)
        assert re.search(
            r"^Training pytorch-scratch, seed 1 \(about [\d:]+ (s|min)\)\n"
            r"    training.learning_rate 0.0007 -> 0.001$",
            told,
            re.MULTILINE,
        )
        assert "    follows from: Training pytorch-scratch, seed 1\n" in told
        assert re.search(r"\n8 of 18 jobs would run, in about [\d:]+ (s|min) on 2 cores\n$", told)

    def test_more_epochs_take_longer(self, explained):
        def seconds(epochs: int) -> float:
            overlay = copy.deepcopy(TINY) | {"training": {"epochs": epochs, "batch_size": 16}}
            told = explained(overlay)
            assert f"training.epochs 1 -> {epochs}" in told
            found = re.search(r"tensorflow-scratch, seed 1 \(about (\d+):(\d+) (min|h)", told)
            return int(found[1]) * {"min": 60, "h": 3600}[found[3]]

        assert seconds(400) > seconds(100)

    def test_a_changed_file(self, explained):
        path = explained.folder / "workflow/scripts/twinbench/analysis/report.py"
        path.write_text(path.read_text() + "# edited\n")
        told = explained(TINY)
        assert "    changed: workflow/scripts/twinbench/analysis/report.py\n" in told
        assert "1 of 18 jobs would run" in told

    def test_a_missing_result(self, explained):
        metrics = explained.folder / "results/tiny/metrics.csv"
        content, times = metrics.read_bytes(), metrics.stat()
        metrics.unlink()
        try:
            assert "    missing: results/tiny/metrics.csv\n" in explained(TINY)
        finally:
            metrics.write_bytes(content)
            os.utime(metrics, ns=(times.st_atime_ns, times.st_mtime_ns))

    def test_a_run_that_is_new(self, explained):
        told = explained(TINY | {"seeds": [1, 2]})
        first, reason = told.splitlines()[:2]
        assert first.startswith("Training pytorch-pretrained, seed 2 (about ")  # as its seed 1
        assert reason.startswith("    missing: results/tiny/runs/pytorch-pretrained/seed-2/")
        assert "    seeds [1] -> [1, 2]\n" in told
