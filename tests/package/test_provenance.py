"""The code's commit is known with git and without."""

import subprocess

import pytest
from twinbench.provenance import git_state


def git(folder, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "project"
    (folder / "inside").mkdir(parents=True)
    git(folder, "init", "--initial-branch", "main")
    (folder / "inside" / "code.py").write_text("1")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "first")
    return folder


def packed(folder):
    git(folder, "pack-refs", "--all")
    return folder


def detached(folder):
    git(folder, "checkout", "--detach")
    return folder


def further_work_tree(folder):
    git(folder, "worktree", "add", "../further", "-b", "other")
    return folder.parent / "further"


@pytest.mark.parametrize("change", [lambda folder: folder, packed, detached, further_work_tree])
def test_the_commit_is_known_without_git(checkout, change, monkeypatch):
    folder = change(checkout)
    commit = git(folder, "rev-parse", "HEAD")
    assert git_state(folder / "inside") == {"commit": commit, "dirty": False}
    monkeypatch.setenv("PATH", "")
    assert git_state(folder / "inside") == {"commit": commit, "dirty": None}


def test_changes_are_seen(checkout):
    (checkout / "inside" / "code.py").write_text("2")
    assert git_state(checkout)["dirty"] is True


def test_outside_a_checkout_nothing_is_known(tmp_path, monkeypatch):
    assert git_state(tmp_path) == {"commit": None, "dirty": None}
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == {"commit": None, "dirty": None}
