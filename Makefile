# Kataribe: `make up` starts it, `make test` tests it. `make help` lists the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
STUDIO := src/kataribe/serve/studio
NATIVE := src/kataribe/run/inference/native
NATIVE_SOURCES := $(wildcard $(NATIVE)/source/*) scripts/native.py
STUDIO_SOURCES := $(shell find studio -type f -not -path 'studio/node_modules/*' -not -path 'studio/test-results/*' 2>/dev/null)
TEST_HOME := $(CURDIR)/.cache/kataribe
TEST_MODELS := smollm2-135m e5-small
UP ?=
PYTEST ?=
BENCH ?=

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24

.PHONY: up
up: .venv/.core $(NATIVE)/built/.done .venv/.sandbox $(STUDIO)/index.html  ## start Kataribe and print its address (UP="--port 9000" passes options)
	@exec .venv/bin/kataribe up $(UP)

.PHONY: test
test: install-dev $(NATIVE)/built/.done system test-model test-studio  ## the tests, slow ones left out (PYTEST="-k name" passes options)
	$(PY) scripts/run_tests.py $(PYTEST)

.PHONY: test-all
test-all: test  ## the tests, then those with big models, whole recipes and the wheel
	KATARIBE_FETCH=1 $(PY) -m pytest -m slow $(PYTEST)

.PHONY: check
check: install-dev  ## format, lint, types, architecture, docs freshness, then the tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target static
	@$(MAKE) --no-print-directory test

.PHONY: bench
bench: install-dev $(NATIVE)/built/.done test-model  ## timed comparisons with peers (quiet machine; takes a while)
	$(PY) -m benchmarks.inference

.PHONY: bench-studio
bench-studio: install-dev system $(STUDIO)/index.html  ## the studio's times in a real browser (quiet machine; BENCH="--quick" passes options)
	$(PY) -m benchmarks.studio $(BENCH)

.PHONY: wheel
wheel: .venv/.core $(NATIVE)/built/.done $(STUDIO)/index.html  ## dist/kataribe-*.whl with the built studio inside
	rm -rf dist
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

.PHONY: docs
docs: .venv/.core studio/node_modules/.installed  ## write what is drawn from the code: README's map, CLI, API schema
	$(PY) scripts/docs.py
	scripts/with_node.sh npm --prefix studio run api

.PHONY: format
format: install-dev  ## put the code into its format
	$(PY) -m ruff format
	$(PY) -m ruff check --fix

.PHONY: lock
lock:  ## write the lock files from what .venv holds now
	$(PY) scripts/lock.py

.PHONY: clean
clean:  ## remove what was built; the environment and the models stay
	rm -rf dist build $(STUDIO) $(NATIVE)/built .mypy_cache .ruff_cache .pytest_cache .hypothesis studio/test-results
	find src tests scripts examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

.PHONY: clean-all
clean-all: clean  ## also remove the environment, node_modules and the tests' models
	rm -rf .venv .cache studio/node_modules

# --- internal ---------------------------------------------------------------------------------

.PHONY: static
static: static-python static-studio

.PHONY: static-python
static-python: .venv/.dev
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m mypy
	$(PY) scripts/architecture.py
	$(PY) scripts/lock.py --check
	$(PY) scripts/docs.py --check

.PHONY: static-studio
static-studio: studio/node_modules/.installed
	scripts/with_node.sh npm --prefix studio run check

.PHONY: install-dev
install-dev: .venv/.dev

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Kataribe needs Python 3.11 or newer; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The lock first, then Kataribe itself, linked to this folder and built with the locked tools.
.venv/.core: requirements.lock pyproject.toml | .venv/bin/python
	$(PIP) install --quiet -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.core requirements-dev.lock
	$(PIP) install --quiet -r requirements-dev.lock
	@touch $@

studio/node_modules/.installed: studio/package-lock.json | .venv/bin/python
	scripts/with_node.sh npm --prefix studio ci --no-audit --no-fund --loglevel=error
	@touch $@

$(STUDIO)/index.html: $(STUDIO_SOURCES) | studio/node_modules/.installed
	scripts/with_node.sh npm --prefix studio run build
	@touch $@

# Without a compiler, and no way to get one, PyTorch computes alone.
$(NATIVE)/built/.done: $(NATIVE_SOURCES) | .venv/bin/python
	@scripts/system_packages.sh compiler
	$(PY) scripts/native.py
	@mkdir -p $(@D) && touch $@

# Asked once: without bubblewrap everything else works, and the tool says what it lacks.
.venv/.sandbox: scripts/system_packages.sh | .venv/bin/python
	@scripts/system_packages.sh sandbox
	@touch $@

.PHONY: system
system:
	@scripts/system_packages.sh browser
	@scripts/system_packages.sh sandbox

.PHONY: test-model
test-model: .venv/.core
	@test -n "$(KATARIBE_TEST_MODELS)" || for model in $(TEST_MODELS); do \
	  KATARIBE_HOME=$(TEST_HOME) .venv/bin/kataribe models pull $$model || exit 1; done

.PHONY: test-studio
test-studio: $(STUDIO)/index.html
	scripts/with_node.sh npm --prefix studio test
