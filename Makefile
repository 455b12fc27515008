# Everything that is done with this repository. `make` alone lists it.

HOST ?= 127.0.0.1
PORT ?= 8000
JOBS ?= auto
ARGS ?=

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help run dev test test-quick bench test-rooms bench-rooms bench-jobs verify faults check format docs lock clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: .venv/.run ## serve on HOST=127.0.0.1 PORT=8000 (first makes .venv and migrates)
	@exec $(BIN)/doable serve --host $(HOST) --port $(PORT) $(ARGS)

dev: .venv/.dev ## the same, starting again whenever the source changes
	@exec $(BIN)/doable serve --host $(HOST) --port $(PORT) --reload $(ARGS)

test: .venv/.dev ## the whole suite on all databases, once more on SQLite without compiled routes (ARGS='-k name')
	@$(PYTEST) $(ARGS)

test-quick: .venv/.dev ## SQLite only, with compiled routes, nothing slow
	@$(PYTEST) -m 'not slow and not browser and not fault' -k 'not postgresql and not uncompiled' $(ARGS)

bench: .venv/.bench ## CPU of requests beside peers', and what grows (ARGS=--quick; ARGS=--write into docs/)
	@$(BIN)/python -m bench.requests $(ARGS)
	@$(BIN)/python -m bench.growth $(ARGS)

test-rooms: .venv/.dev ## storms and herds of rooms in their full size, with their figures
	@$(PYTEST) -n 0 --long tests/processes/test_rooms.py tests/realtime/test_herd.py $(ARGS)

bench-rooms: .venv/.dev ## what rooms cost (ARGS=--write puts it into docs/performance.md)
	@$(BIN)/python -m bench.rooms $(ARGS)

bench-jobs: .venv/.bench ## what jobs cost and how soon they start (ARGS=--write keeps it in docs/performance.md)
	@$(BIN)/python -m bench.jobs $(ARGS)

verify: .venv/.dev ## try all that is promised, with a table of what held (ARGS=--quick: two minutes)
	@$(BIN)/doable verify $(ARGS)

faults: .venv/.dev ## kill, freeze, cut and fill what the server lives on, and print what held (15 minutes)
	@$(PYTEST) -n 0 -m 'fault or not fault' --write-figures tests/faults $(ARGS)

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

.venv/.bench: uv.lock pyproject.toml scripts/environment bench/peers/fastify/package-lock.json
	@scripts/environment bench
	@! command -v npm >/dev/null || npm ci --silent --no-audit --no-fund --prefix bench/peers/fastify
	@touch $@ .venv/.dev .venv/.run
