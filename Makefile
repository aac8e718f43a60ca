# Two commands set everything up on a fresh machine: `make demo` and `make test`. The rest is for those who stay.
PYTHON ?= python3
# e.g. PIP_ARGS='--extra-index-url ...' with the index of torch's CPU builds, on a machine without a GPU
PIP_ARGS ?=
# e.g. PYTEST_ARGS='-k splits -x'
PYTEST_ARGS ?=

BIN := .venv/bin
TRAIN := .venv/.installed-train
DEV := .venv/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help demo test check test-slow bench bench-accuracy docs docs-serve pictures format system clean

help: ## This list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(TRAIN) ## Install, make sounds, train, evaluate, tag a new recording; about two minutes.
	$(BIN)/earmark demo --out demo

test: system $(DEV) check ## Install what the tests need, then check and test everything but the slow tests.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

check: $(DEV) ## ruff (lint and format), mypy strict, import-linter.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: system $(DEV) ## The heavy tests alone: collapse guard over many seeds and the like.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow --timeout 3600 $(PYTEST_ARGS)

bench: $(DEV) ## Every benchmark but accuracy; ends with one line a figure.
	$(BIN)/python -m benchmarks.run speed

bench-accuracy: $(DEV) ## Cross-validated accuracy on real data sets; may take hours, goes on where it was stopped.
	$(BIN)/python -m benchmarks.run accuracy

docs: $(DEV) ## Build the documentation into site/; a broken link or a missing page stops it.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(DEV) ## The documentation at http://127.0.0.1:8000, rebuilt as you write.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

pictures: $(DEV) ## Redraw the pictures of README.md and docs/, and the pages of recipe fields and accuracy.
	$(BIN)/python scripts/write_recipe_fields.py
	$(BIN)/python scripts/write_accuracy.py
	$(BIN)/python scripts/draw_architecture.py
	$(BIN)/python scripts/draw_readme_picture.py

format: $(DEV) ## Let ruff mend what it can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

system: ## System packages that the tests use; installs them as root on Debian, else says what to install.
	@sh scripts/system_packages.sh

clean: ## Remove everything that make made, the environment included.
	rm -rf .venv site demo dist build benchmarks/work .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# The environment is made again whenever pyproject.toml is newer than it.
$(TRAIN): pyproject.toml scripts/install.sh
	@PYTHON="$(PYTHON)" PIP_ARGS="$(PIP_ARGS)" sh scripts/install.sh train
	@touch $@

$(DEV): pyproject.toml scripts/install.sh
	@PYTHON="$(PYTHON)" PIP_ARGS="$(PIP_ARGS)" sh scripts/install.sh dev
	@touch $@ $(TRAIN)
