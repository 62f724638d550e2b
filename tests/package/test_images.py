"""`make images` and `make sif`: which engine, what is built again, what an image says of itself.

With pretended engines. An image is its identifier, which pushing and apptainer copy to the SIF.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from support import ROOT

ENVIRONMENTS = ("pytorch", "tensorflow", "analysis")
ENGINE = """#!/bin/sh
name=$(basename "$0"); here=$(dirname "$0")
echo "$name $*" >>"$here/calls"
case $1 in
    info) test -e "$here/$name.answers" ;;
    build)
        while [ $# -gt 1 ]; do
            case $1 in --iidfile) file=$2 ;; ENVIRONMENT=*) environment=${1#*=} ;; esac
            shift
        done
        image=$(cat "$here/image") || exit 1
        printf 'sha256:%s-%s-%s' "$name" "$environment" "$image" >"$file" ;;
    push | save)
        test ! -e "$here/image.gone" || exit 1
        if [ "$1" = push ]; then image=$2 file=${3#docker-archive:}; else image=$4 file=$3; fi
        test ! -e "$file" && printf %s "$image" >"$file" ;;
esac
"""
APPTAINER = """#!/bin/sh
echo "apptainer $*" >>"$(dirname "$0")/calls"
while [ $# -gt 2 ]; do shift; done
cp "${2#docker-archive:}" "$1" && test ! -e "$(dirname "$0")/apptainer.fails"
"""


class Clone:
    """The Makefile and what images are made of, beside programs that write down their calls."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder / "clone", folder / "programs"
        shutil.copytree(ROOT / "envs", self.folder / "envs")
        for name in ("Makefile", "CITATION.cff"):
            shutil.copy(ROOT / name, self.folder)
        self.programs.mkdir()
        for name in ("docker", "podman", "buildah", "apptainer"):
            (self.programs / name).write_text(APPTAINER if name == "apptainer" else ENGINE)
            (self.programs / name).chmod(0o755)
        self.set_image("first")
        self.answering("docker", "podman", "buildah")

    def answering(self, *engines: str) -> None:
        for path in self.programs.glob("*.answers"):
            path.unlink()
        for name in engines:
            (self.programs / f"{name}.answers").touch()

    def set_image(self, name: str) -> None:
        """What building makes from now on."""
        (self.programs / "image").write_text(name)

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        (self.programs / "calls").write_text("")
        return subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env={"PATH": f"{self.programs}:/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def calls(self, *words: str) -> list[str]:
        """The calls since the last `make` that begin with these words."""
        calls = (self.programs / "calls").read_text().splitlines()
        return [call for call in calls if call.startswith(" ".join(words))]

    def sif(self, environment: str) -> str:
        return (self.folder / "images" / f"{environment}.sif").read_text()


@pytest.fixture
def clone(tmp_path) -> Clone:
    return Clone(tmp_path)


@pytest.mark.parametrize(
    ("answering", "chosen"),
    [
        (("docker", "podman", "buildah"), "docker"),
        (("podman", "buildah"), "podman"),
        (("buildah",), "buildah"),
    ],
)
def test_the_first_engine_that_answers_builds_all_three(clone, answering, chosen):
    clone.answering(*answering)
    result = clone.make("images", "sif")
    assert result.returncode == 0, result.stdout
    for environment in ENVIRONMENTS:
        assert f"Building localhost/twinbench-{environment} with {chosen}\n" in result.stdout
        assert clone.sif(environment) == f"sha256:{chosen}-{environment}-first"


def test_without_an_engine_that_answers_one_line_says_what_to_do(clone):
    clone.answering()
    result = clone.make("images")
    assert result.returncode
    assert "No container engine answers here: start docker, or install" in result.stdout
    assert not list((clone.folder / "images").iterdir())


def test_the_engine_that_is_named_builds(clone):
    assert clone.make("sif", "ENGINE=podman").returncode == 0
    assert not clone.calls("docker") and len(clone.calls("podman build")) == 3
    assert clone.sif("pytorch") == "sha256:podman-pytorch-first"


def test_sif_files_are_of_the_images_that_there_are(clone):
    """By the engine and with the base and options that `make images` was given."""
    clone.make("images", "ENGINE=buildah", "BASE=other")
    assert clone.make("sif").returncode == 0
    assert not clone.calls("docker") and not clone.calls("buildah build")
    assert clone.sif("pytorch") == "sha256:buildah-pytorch-first"


def test_another_engine_takes_the_place_of_the_first(clone):
    clone.make("images", "sif")
    assert clone.make("sif", "ENGINE=podman").returncode == 0
    assert clone.sif("analysis") == "sha256:podman-analysis-first"


def test_a_sif_is_made_again_exactly_when_its_image_is_another(clone):
    clone.make("images", "sif")
    result = clone.make("images", "sif")
    assert len(clone.calls("docker build")) == 3 and not clone.calls("apptainer"), result.stdout
    clone.set_image("second")
    assert clone.make("sif", "BASE=other", "ENVIRONMENTS=analysis").returncode == 0
    assert len(clone.calls("apptainer")) == 1
    assert [clone.sif(name)[-6:] for name in ENVIRONMENTS] == ["-first", "-first", "second"]


def test_an_edited_environment_is_built_again(clone):
    clone.make("images", "sif")
    clone.set_image("second")
    path = clone.folder / "envs" / "pytorch.yaml"
    path.write_text(path.read_text() + "\n")
    assert clone.make("sif").returncode == 0
    assert len(clone.calls("docker build")) == 1
    assert clone.sif("pytorch") == "sha256:docker-pytorch-second"


def test_what_fails_leaves_the_last_image_and_nothing_else(clone):
    clone.make("images", "sif")
    before = {path: path.read_text() for path in (clone.folder / "images").iterdir()}
    (clone.programs / "image").unlink()  # so building fails
    assert clone.make("images").returncode
    clone.set_image("second")
    clone.make("images")
    (clone.programs / "apptainer.fails").touch()
    assert clone.make("sif").returncode
    after = {path: path.read_text() for path in (clone.folder / "images").iterdir()}
    assert before.keys() == after.keys()
    assert [clone.sif(name) for name in ENVIRONMENTS] == [
        f"sha256:docker-{name}-first" for name in ENVIRONMENTS
    ]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_an_image_that_is_gone_is_to_be_built_again(clone, engine):
    clone.make("images", f"ENGINE={engine}")
    (clone.programs / "image.gone").touch()
    result = clone.make("sif")
    assert result.returncode
    assert "build it again: make images" in result.stdout


def test_what_a_kill_left_is_no_hindrance(clone):
    clone.make("images", "ENGINE=podman")
    # No engine adds to such a file.
    (clone.folder / "images" / "pytorch.sif.tar").write_text("half")
    assert clone.make("sif").returncode == 0
    assert clone.sif("pytorch") == "sha256:podman-pytorch-first"


def labels(clone: Clone) -> dict[str, str]:
    assert clone.make("images", "ENVIRONMENTS=analysis").returncode == 0
    (call,) = clone.calls("docker build")
    return dict(re.findall(r"--label org\.opencontainers\.image\.(\w+)=(\S+)", call))


def test_an_image_names_title_version_and_licence(clone):
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert labels(clone) == {
        "title": "twinbench-analysis",
        "version": cited["version"],
        "licenses": cited["license"],
    }


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("https://name:secret@host/owner/twinbench.git", "https://host/owner/twinbench.git"),
        ("git@host:owner/twinbench.git", "https://host/owner/twinbench.git"),
        ("/home/name/twinbench", None),
    ],
)
def test_an_image_names_its_source_and_the_revision_of_its_recipe(clone, address, source):
    def git(*arguments: str) -> str:
        name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        command = ["git", "-C", str(clone.folder), *name, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "recipe")
    git("remote", "add", "origin", address)
    recipe = git("rev-parse", "HEAD")
    git("commit", "--quiet", "--allow-empty", "--message", "something else")
    found = labels(clone)
    assert (found["revision"], found.get("source")) == (recipe, source)
    (clone.folder / "envs" / "analysis.yaml").write_text("edited\n")
    assert labels(clone)["revision"] == f"{recipe}-dirty"


def test_the_base_is_fixed_by_its_digest():
    (base,) = re.findall(r"^ARG BASE=(\S+)", (ROOT / "envs" / "Containerfile").read_text(), re.M)
    assert re.fullmatch(
        r"docker\.io/library/python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base
    )
