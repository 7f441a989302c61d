# The commands a person must know: make demo, test, lint, bench, docs, clean.
# Options: make demo ARGS="--data mnist --root DIR"    arguments for the command itself
#          make test ARGS="tests/io -x"
#          make demo PIP_OPTIONS="--extra-index-url https://download.pytorch.org/whl/cpu"    the small build of torch
#          make demo PYTHON=/usr/bin/python3.12

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install $(PIP_OPTIONS) -c constraints.txt
ARGS ?=

.PHONY: help demo test lint bench docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    train a teacher and its students, compare them, write runs/demo/report.html"
	@echo "make test    run all tests"
	@echo "make lint    check format, style and types"
	@echo "make bench   run all benchmarks, print tables, write benchmarks/results/*.json"
	@echo "make docs    build the documentation into site/"
	@echo "make clean   remove $(VENV), caches and built files; runs/ is kept"

demo: $(VENV)/.installed
	@$(BIN)/learnt demo $(ARGS)

test: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.installed-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "site/index.html"

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .hypothesis
	@find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The first Python >= 3.11 on PATH that can make environments. A name may be a stub (pyenv), so each is tried.
$(BIN)/python:
	@python="$(PYTHON)"; \
	for name in "$$python" python3 python3.13 python3.12 python3.11 python3.14 python; do \
	  if [ -n "$$name" ] && command -v "$$name" >/dev/null 2>&1 && \
	     "$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "Creating $(VENV) with $$("$$name" --version)"; \
	    exec "$$name" -m venv $(VENV); \
	  fi; \
	done; \
	echo "learnt needs Python 3.11 or later with its venv module, and none was found on PATH." >&2; \
	echo "Install one (Debian, Ubuntu: apt install python3-venv; macOS: brew install python), or name it: make PYTHON=/path/to/python3.12 ..." >&2; \
	exit 1

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) -e '.[dev]'
	@touch $(VENV)/.installed $@
