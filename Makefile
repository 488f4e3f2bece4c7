# make compare: the main job.  make test: the parity suite.  Both set up .venv first; see CONTRIBUTING.md.
# What comes after the command goes into ARGS:  make test ARGS="--device cpu"

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help setup compare test lint format benchmark chapters notebooks clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(INSTALLED)  ## create .venv, or renew it when the dependencies changed

compare: $(INSTALLED)  ## compare every model on both sides
	$(BIN)/python scripts/compare.py $(ARGS)

test: $(INSTALLED)  ## run the parity suite, on all cores
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

lint: $(INSTALLED)  ## check format, style, types and imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: $(INSTALLED)  ## time a training step of NumPy against torch
	$(BIN)/python scripts/benchmark.py $(ARGS)

chapters: $(INSTALLED)  ## run the book's chapters: which published values come out
	$(BIN)/python scripts/chapters/run_all.py $(ARGS)

notebooks: $(INSTALLED)  ## run the chapters as notebooks, into runs/notebooks
	$(BIN)/python scripts/chapters/notebooks.py $(ARGS)

clean:  ## remove the environment
	rm -rf .venv

# Written last, so that an installation that was interrupted is not taken for a complete one.
$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || \
	  { echo "no $(PYTHON) here: on Debian and Ubuntu, sudo apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1): Python 3.11, 3.12 or 3.13 is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module: on Debian and Ubuntu, sudo apt install python3-venv" >&2; exit 1; }
	rm -f $@
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev,federated,notebooks]'
	$(BIN)/python -m pip install --constraint constraints.txt --only-binary tenseal --editable '.[ckks]' || \
	  echo "tenseal cannot be had here: federated.py works without --protect ckks" >&2
	touch $@
