# The hub's everyday commands. They need Python 3.11 or newer and make, nothing else.

BIN = .venv/bin
TEST_WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help run test check bench mutants messages screenshots lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run:  ## Start the hub and play the demo (DEMO=0: an empty hub; PORT=8081: another port)
	@tools/venv requirements.lock
	@exec $(BIN)/hub up $(if $(filter 0,$(DEMO)),,--demo)

test:  ## Run all tests on servers of their own (ARGS="-k refund" runs some)
	@tools/venv requirements.lock requirements-test.lock
	@# where bytecode may not be kept each of some hundred processes would compile the hub anew
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(ARGS)

check:  ## Lint, format, types and who may import whom
	@tools/venv requirements.lock requirements-test.lock
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench:  ## Measure inserts, ingest and posting; prints JSON
	@tools/venv requirements.lock requirements-test.lock
	@$(BIN)/python -m tests.bench

mutants:  ## Change each line of the pure rules in turn; a test must notice (half an hour, an environment of its own)
	python3 -m venv .venv-mutants
	.venv-mutants/bin/pip install -q --no-deps -r requirements.lock -r requirements-test.lock
	.venv-mutants/bin/pip install -q mutmut==3.8.1
	.venv-mutants/bin/mutmut run
	.venv-mutants/bin/mutmut results

messages:  ## Collect what people read, for translation, and compile it
	@tools/venv requirements.lock
	@$(BIN)/python tools/messages.py

screenshots:  ## Write docs/screenshots anew from the browser tests
	@tools/venv requirements.lock requirements-test.lock
	SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest -q tests/browser

lock:  ## Take the newest versions that fit pyproject.toml into the lock files
	@tools/venv requirements.lock requirements-test.lock
	$(BIN)/python tools/lock.py

clean:  ## Remove .venv and caches; the hub's data stays
	rm -rf .venv .venv-mutants mutants build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
