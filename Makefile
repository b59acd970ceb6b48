# Two commands do everything on a fresh Debian 12 machine with Rust, Python 3.11 and make:
#   make demo   builds examples/site, runs it, and shows what came out
#   make test   runs the tests against the installed wheel
# The others complete the set. Each sets up what it needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
ROOT := $(CURDIR)
PYTHON ?= python3
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
SOURCES := $(shell git ls-files rust python 2>/dev/null) Cargo.toml Cargo.lock pyproject.toml

.PHONY: help demo test test-full lint bench fuzz setup develop clean

help:  ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: .cache/packages  ## Debian packages that demo, tests and benchmarks use (as root)

.cache/packages: scripts/packages.sh
	@mkdir -p .cache
	scripts/packages.sh
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

.venv/tools: scripts/requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement scripts/requirements.txt
	@touch $@

# The wheel is built from the sdist, so that what a user of pip gets is what is tested.
.venv/wheel: $(SOURCES) scripts/install-wheel.sh .venv/tools
	scripts/install-wheel.sh
	@touch $@

demo: setup .venv/wheel  ## Build, run and show examples/site on a Debian base
	scripts/demo.sh

test: setup .venv/wheel  ## All tests but the long ones (at most 20 minutes)
	cargo test --locked --workspace
	scripts/run-pytest.sh -m "not long"

test-full: setup .venv/wheel  ## Every test, however long
	FASTLAYER_LONG=1 cargo test --locked --workspace
	FASTLAYER_LONG=1 scripts/run-pytest.sh

lint: .venv/wheel  ## Formatting, lints, types, and the stub against the built core
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd $(VENV) && bin/python -m mypy.stubtest fastlayer._core --ignore-disjoint-bases --allowlist $(ROOT)/scripts/stubtest-allowlist

bench: setup .venv/wheel  ## Benchmarks beside their peers, as one table (as root; long)
	scripts/run-bench.sh

fuzz:  ## Coverage-guided fuzzing of every parser of untrusted bytes
	scripts/fuzz.sh

develop: .venv/tools  ## Build the core in place for work on it (python/fastlayer/_core.abi3.so)
	scripts/develop.sh

clean:
	rm -rf target dist .cache .venv
