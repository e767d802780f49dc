# DatDot. `make dev` runs a market, `make test` runs every check; each works alone on a fresh Debian 12 machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: setup dev test test-large crash fuzz lint localnet bench weights lock clean

# The stamp is newer than everything that decides what is installed.
$(VENV)/.installed: requirements.lock pyproject.toml scripts/system-packages
	@PYTHON=$(PYTHON) scripts/system-packages
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing Python packages into $(VENV), one or two minutes the first time"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(VENV)/.installed

dev: setup
	$(BIN)/datdot dev $(ARGS)

localnet: setup
	$(BIN)/datdot localnet $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

# The real JavaScript and Python clients that the interop suites drive.
tests/interop/.installed: tests/interop/package-lock.json tests/interop/hyperswarm/package-lock.json \
		bridges/hyperswarm/package-lock.json $(wildcard tests/interop/python-clients/*.txt) tests/interop/install | setup
	@echo "setup: installing the JavaScript and Python clients that the interop tests drive"
	@$(BIN)/python tests/interop/install
	@touch $@

# A test that hangs shows where, and ends the run.
test: setup lint tests/interop/.installed
	$(BIN)/pytest -n 2 --dist loadfile --max-worker-restart 0 \
		-o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true

# What takes minutes.
test-large: setup tests/interop/.installed
	DATDOT_LARGE_TESTS=1 $(BIN)/pytest tests/interop/hypercore/test_drive.py

# Ten thousand crash points of the hypercore store, or ARGS of them.
crash: setup
	$(BIN)/python -m tests.hypercore.crash_points $(ARGS)

# The fuzzer has wheels for few platforms; without it the same targets get unguided mutations.
fuzz: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r tests/fuzz/requirements.lock \
		|| echo "fuzz: atheris cannot be installed here"
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

# Measures every call anew; the weights are part of the runtime, so they are committed.
weights: setup
	$(BIN)/python -m node.cli bench pallets --scenarios benchmarks.market_weights:scenarios --out pallets/weights

# Writes the lock file anew from the ranges in pyproject.toml.
lock: setup
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra dev \
		--generate-hashes --strip-extras -o requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --generate-hashes \
		-o tests/fuzz/requirements.lock tests/fuzz/requirements.in

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz \
		tests/interop/node_modules tests/interop/hyperswarm/node_modules bridges/hyperswarm/node_modules \
		tests/interop/.installed tests/interop/.clients tests/interop/.descriptors \
		benchmarks/peers/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
