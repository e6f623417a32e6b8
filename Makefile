# Everything a newcomer needs: `make demo`, `make test`; `make help` lists the rest.
# PYTHON=/path/to/python chooses the interpreter; by default the first of python3.11 ... python3.15, python3.

export PYTHON ?=
PROGRAM := examples/storefront/loopwright.toml
# One more than the cores of a small machine: much of what tests do is to wait for a process or a clock.
WORKERS ?= 3
BENCH ?= spawn scheduling loops
BIN := .venv/bin
# What an installed, editable Loopwright depends on: Python sources are read where they are, compiled ones not.
SOURCES := pyproject.toml setup.py $(wildcard src/loopwright/_native/*.py src/loopwright/_native/*.pxd \
	src/loopwright/_native/*.h)

# A .venv that is half made, was moved, or is of another Python than the one asked for does not count as there.
STALE := $(shell PYTHON='$(PYTHON)' .ci/set-up whole || echo stale)
STALE_BENCH := $(shell PYTHON='$(PYTHON)' .ci/set-up whole bench || echo stale)

.PHONY: help setup demo test test-all check format docs bench clean stale
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@echo 'make demo     set up, then run $(PROGRAM) until Ctrl-C'
	@echo 'make setup    set up for everything, and run nothing'
	@echo 'make test     set up, then run the tests (WORKERS=0: in one process; ARGS="-k word": options for pytest)'
	@echo 'make test-all the same, with those that take long'
	@echo 'make check    format, lint, types and layers'
	@echo 'make format   put the sources into the format that check asks for'
	@echo 'make docs     the documentation, into docs/_build/html'
	@echo 'make bench    measure, into benchmarks/results (ARGS=--quick: only try whether it runs;'
	@echo '             BENCH=scheduling: that one alone)'
	@echo 'make clean    remove everything that was made here'
	@echo 'PYTHON=...    with any of them: the interpreter to set up with (3.11 or newer)'

.venv/.set-up-%: $(SOURCES) $(if $(STALE),stale)
	@.ci/set-up $*

setup: .venv/.set-up-dev

# Ctrl-C reaches make too. It waits for the command, which ends everything in order and with status 0, and then
# ends by the signal itself (130 in a shell), as every make does; the command's own status is that of
# `.venv/bin/loopwright up`.
demo: .venv/.set-up-runtime
	@exec $(BIN)/loopwright up $(PROGRAM)

# Tests use signals and children, so those of one file share a process. Those marked slow are for test-all.
test: .venv/.set-up-test
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow' $(ARGS)

test-all: .venv/.set-up-test
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: .venv/.set-up-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/mypy --python-version 3.14 tests/typing
	$(BIN)/lint-imports

format: .venv/.set-up-dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: .venv/.set-up-dev
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo 'docs/_build/html/index.html'

# An environment of its own: the peers bring plugins, which pytest would load.
.venv-bench/.set-up-bench: $(SOURCES) $(if $(STALE_BENCH),stale)
	@.ci/set-up bench

bench: .venv-bench/.set-up-bench
	@set -e; for each in $(BENCH); do .venv-bench/bin/python benchmarks/$$each.py $(ARGS); done

clean:
	rm -rf .venv .venv-bench build dist docs/_build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache src/loopwright/_native/*.so src/loopwright/_native/*.c
	find src tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +
