# One command a job; each sets up what it needs. `make run` for a first look, `make test` before a commit.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
METRICS_PORT ?= 0
DATA ?= .data/demo
UV_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q

.PHONY: help setup run test check format docs bench test-sdk test-sampler test-pairs alerts pins clean
.DEFAULT_GOAL := help

help:
	@echo "make run           the gateway on embedded stores in front of the sandbox upstream"
	@echo "                   (PORT=$(PORT), METRICS_PORT=9464, DATA=$(DATA))"
	@echo "make setup         the virtual environment in $(VENV); every other target does it first"
	@echo "make test          every test that needs no SDK"
	@echo "make check         format, lint, types, layers, generated files"
	@echo "make format        reformat, and fix what the linter can fix"
	@echo "make docs          rewrite every generated page, deploy/esm-gateway.toml and the dashboards"
	@echo "make bench         ratios against a bare aiohttp server, in one run"
	@echo "make test-sdk      the real esm SDK through the gateway (installs CPU torch)"
	@echo "make test-sampler  the rules of the cache against the real sampler of esm (tiny model, CPU torch)"
	@echo "make test-pairs    100,000 random pairs of calls against their keys"
	@echo "make alerts        promtool on the alert rules, their tests and the dashboards' queries"
	@echo "make pins          resolve requirements/*.txt again"
	@echo "make clean         remove the environments, the caches and the demo's data (.data/)"

setup: $(VENV)/.ready

# The stamp changes with the pins, so a machine that has been set up is not set up again.
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || echo "setting up (once, about 370 MB)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation --no-index -e .
	touch $@

run: $(VENV)/.ready
	$(BIN)/esm-gateway demo --port $(PORT) --metrics-port $(METRICS_PORT) --data-dir $(DATA)

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_pages.py --check
	$(BIN)/python grafana/generate.py --check

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready
	$(BIN)/python -m bench

test-sdk: $(VENV)/.ready
	bash tests/sdk/run.sh

test-sampler: $(VENV)/.ready
	bash tests/sampler/run.sh

test-pairs: $(VENV)/.ready
	$(BIN)/python -m tests.claims.pairs --pairs 100000 --processes 2

alerts: $(VENV)/.ready
	PATH="$(CURDIR)/$(BIN):$$PATH" bash deploy/prometheus/check.sh

docs: $(VENV)/.ready
	$(BIN)/python docs/generate_pages.py
	$(BIN)/python grafana/generate.py

pins: $(VENV)/.ready
	$(BIN)/uv pip compile $(UV_FLAGS) pyproject.toml --extra build -o requirements/base.txt
	$(BIN)/uv pip compile $(UV_FLAGS) pyproject.toml --extra dev -c requirements/base.txt -o requirements/dev.txt

clean:
	rm -rf $(VENV) .venv-sdk* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .data
