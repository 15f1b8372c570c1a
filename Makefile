# `make run` and `make test` are all you need to use callrouter; the other targets are for working on it.

PYTHON ?= python3
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL := $(PIP) --require-hashes
INSTALL_SELF := $(PIP) --no-deps --no-build-isolation --editable .

# Processes that tests start would otherwise compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test slow browser check lint matrix chaos siege bench scale fuzz image sbom last-release \
	release-version lock clean

run: $(VENV)/.run
	@$(BIN)/callrouter demo

test: $(VENV)/.test
	$(BIN)/lint-imports
	$(BIN)/pytest

slow: $(VENV)/.test
	$(BIN)/pytest -m slow

browser: $(VENV)/.test
	$(BIN)/pytest tests/browser

check: lint test slow browser

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

matrix: $(VENV)/.test
	$(BIN)/python -m tests.matrix

chaos: $(VENV)/.test
	$(BIN)/python -m tests.chaos

siege: $(VENV)/.test
	$(BIN)/python -m tests.siege

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench

# SHARE=0.02 takes a minute.
scale: $(VENV)/.test
	$(BIN)/python -m tests.scale $(SHARE)

fuzz: $(VENV)/.test
	FUZZ_EXAMPLES=200 $(BIN)/pytest -m "" -n 0 --timeout 7200 tests/contract/test_openapi_fuzz.py

# The container image, with Debian's buildah: without a daemon, and without root where user namespaces are to be had.
# IMAGE_ARGS are more options of `buildah build`, such as --build-arg PYTHON_IMAGE=… for another base.
image:
	buildah build --format docker --layers=false --tag callrouter --file deploy/Dockerfile $(IMAGE_ARGS) .

# A bill of materials (CycloneDX) of what the image installs.
sbom: $(VENV)/.test
	mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --mc-type application \
		--output-reproducible --validate --output-file build/sbom.cdx.json

# The last tag's tests on the schema of this checkout. There is nothing to do until there is a tag.
last-release: $(VENV)/.test
	$(BIN)/python -m tests.release last

release-version:
	$(PYTHON) -m tests.release version $(TAG)

# Pins the exact versions of all packages, resolved together for every platform and for Python 3.11 and newer. Each package
# is listed in one file: those of the service, those that the embedded PostgreSQL adds, those that the tests add. Versions
# that still fit are kept; `make lock UPGRADE=--upgrade` takes the newest. Needs uv. deploy/uv.toml is all of its settings.
COMPILE = $(UV) pip compile pyproject.toml --quiet --config-file deploy/uv.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate
PINNED = --constraint build/requirements.txt
EXCEPT = sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p'

lock:
	mkdir -p build
	cat requirements*.txt > build/requirements.txt
	$(COMPILE) $(UPGRADE) --group build --extra embedded --extra test --output-file build/requirements.txt
	rm -f requirements*.txt
	$(COMPILE) $(PINNED) --group build --output-file requirements.txt
	$(COMPILE) $(PINNED) --extra embedded $$($(EXCEPT) requirements.txt) --output-file requirements-embedded.txt
	$(COMPILE) $(PINNED) --extra embedded --extra test $$($(EXCEPT) requirements.txt requirements-embedded.txt) \
		--output-file requirements-test.txt

$(VENV)/.run: pyproject.toml requirements.txt requirements-embedded.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "callrouter needs Python 3.11 or newer")'
	@echo "Installing into $(VENV). This happens once and takes a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --requirement requirements.txt --requirement requirements-embedded.txt
	@$(INSTALL_SELF)
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements-test.txt
	@echo "Installing the test dependencies."
	@$(INSTALL) --no-deps --requirement requirements-test.txt # they are complete; see deploy/uv.toml
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
