# `make demo` and `make test` do all their set-up themselves; python3 (3.11 to 3.13) and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKSPACE ?= demo-workspace
MODELS := all-minilm-l6-v2 smollm2-135m-instruct

.PHONY: demo test test-all check pictures models

demo: $(INSTALLED)
	$(BIN)/workbench demo

test: models
	$(BIN)/pytest -n 2 --dist loadfile

test-all: models check
	$(BIN)/pytest -m ''

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

pictures: $(INSTALLED)
	test -d $(WORKSPACE) || $(BIN)/workbench demo $(WORKSPACE)
	$(BIN)/python -P docs/pictures.py $(WORKSPACE) docs/pictures

models: $(INSTALLED)
	@for model in $(MODELS); do $(BIN)/workbench models fetch $$model || exit 1; done

# constraints.txt holds every version that the tests ran on.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
