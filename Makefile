# Everything that is done with this repository. `make` alone lists it.

HOST ?= 127.0.0.1
PORT ?= 8000
# Each test worker has its own PostgreSQL and Valkey.
JOBS ?= logical
ARGS ?=
HTTP_TESTS := tests/accounts tests/lists tests/todos tests/core/http

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help run dev test test-uncompiled test-quick faults check format docs lock clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: .venv/.run ## serve on HOST=127.0.0.1 PORT=8000 (first makes .venv and migrates)
	@exec $(BIN)/doable serve --host $(HOST) --port $(PORT) $(ARGS)

dev: .venv/.dev ## the same, starting again whenever the source changes
	@exec $(BIN)/doable serve --host $(HOST) --port $(PORT) --reload $(ARGS)

test: .venv/.dev ## the whole suite, on SQLite, PostgreSQL and Valkey (ARGS='-k name')
	@$(PYTEST) -n $(JOBS) --maxprocesses 6 --dist loadgroup $(ARGS)

test-uncompiled: .venv/.dev ## what goes over HTTP, on SQLite, served by FastAPI alone
	@$(PYTEST) -n $(JOBS) --maxprocesses 6 --dist loadgroup --uncompiled -k 'not postgresql' $(HTTP_TESTS)

test-quick: .venv/.dev ## SQLite only, nothing slow
	@$(PYTEST) -n $(JOBS) --maxprocesses 6 --dist loadgroup -m 'not slow and not browser and not fault' -k 'not postgresql' $(ARGS)

faults: .venv/.dev ## kill, freeze, cut and fill what the server lives on, and print what held (10 minutes)
	@$(PYTEST) -m 'fault or not fault' --write-figures tests/faults $(ARGS)

check: .venv/.dev ## format, lint, types, direction of imports
	@failed=; for tool in 'ruff format --check' 'ruff check' mypy 'lint-imports --no-cache'; do \
	  echo "== $$tool"; $(BIN)/$$tool || failed="$$failed [$$tool]"; done; \
	  [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

format: .venv/.dev ## rewrite the source as `make check` wants it
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: .venv/.dev ## rewrite what documents say of the settings, and the schema of rooms
	@$(BIN)/python -m tests.support.documents

lock: .venv/.dev ## renew uv.lock after a change of pyproject.toml
	@PATH="$$PATH:.tools/bin" uv lock --python $(BIN)/python

clean: ## remove environment and caches; your data stay
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist

.venv/.run: uv.lock pyproject.toml scripts/environment
	@scripts/environment run
	@touch $@

.venv/.dev: uv.lock pyproject.toml scripts/environment
	@scripts/environment dev
	@touch $@ .venv/.run
