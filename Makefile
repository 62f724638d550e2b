# Each target sets up .venv where needed and calls the real tool.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test lint format lock clean

demo: .venv  ## the whole study on drawn images, offline, in minutes
	snakemake --cores all --configfile config/demo.yaml
	@echo "The report: results/demo/report.md"

test: .venv  ## every test
	python -m pytest

lint: .venv  ## formatting, lint and the walls between rooms
	ruff format --check . && ruff check . && snakefmt --check Snakefile workflow/rules
	cd workflow/scripts && lint-imports --config ../../pyproject.toml
	snakemake --lint

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
