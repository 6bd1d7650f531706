# Threadbook. `make` alone lists what there is.

.DEFAULT_GOAL := help
.PHONY: help setup service run test lint bench refresh-approved clean
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
# PYTHON=/path/to/python chooses the interpreter of a new .venv; ARGS is passed on to pytest and to the benchmarks.
export PYTHON
export UV_PYTHON_DOWNLOADS := never

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 26

setup: service ## make both environments: the service's in .venv, and the one that kernels run in
	@$(BIN)/threadbook env build --if-needed

service:
	@$(BIN)/python -I -S tools/bootstrap.py --check 2>/dev/null \
		|| { python=$$(sh tools/find_python.sh) && "$$python" -I tools/bootstrap.py; }

run: setup ## set up what is missing and start the bot; without DISCORD_TOKEN, open the console
	@if [ -n "$$DISCORD_TOKEN" ] || grep -qs '^ *DISCORD_TOKEN=..*' .env; then exec $(BIN)/threadbook bot; fi; exec $(BIN)/threadbook console

test: setup ## set up what is missing and run the whole test suite
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: service ## check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## measure against plain jupyter_client, side by side
	@$(BIN)/python -m benchmarks $(ARGS)

refresh-approved: service ## check approved.toml against the real wheels (ARGS="NAME …" or --offline)
	@$(BIN)/python tools/refresh_approved.py $(ARGS)

clean: ## remove .venv and what the tools left here; your sessions and kernel environments stay
	@rm -rf .venv .venv.lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
