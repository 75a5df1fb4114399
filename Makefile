# make demo    watch syncd work in a sandbox           make check   format, lint, types, architecture
# make run     start syncd on your own stores          make test    everything that needs no network
# make real    against the real Codex and OpenClaw
.DEFAULT_GOAL := help
.PHONY: help run demo check test real format clean

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

help:
	@sed -n '1,3s/^# //p' Makefile

run: $(VENV)/installed
	@$(BIN)/syncd run $(ARGS)

demo: $(VENV)/installed
	@$(BIN)/syncd demo $(ARGS)
	@echo "here: .venv/bin/syncd; or first: export PATH=\"$(CURDIR)/.venv/bin:\$$PATH\"" >&2

check: $(VENV)/developed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/developed
	@$(BIN)/python -m pytest $(ARGS)

real: $(VENV)/developed
	@$(BIN)/python tests/real/install.py
	@$(BIN)/python -m pytest tests/real $(ARGS)

format: $(VENV)/developed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The virtual environment is built where it is missing or older than what it is built from.
$(VENV)/installed: pyproject.toml service/venv.sh
	@sh service/venv.sh $(VENV) .
	@touch $@

$(VENV)/developed: pyproject.toml service/venv.sh
	@sh service/venv.sh $(VENV) '.[dev]'
	@touch $@ $(VENV)/installed
