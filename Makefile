# make tutorial   run the notebooks top to bottom; executed notebooks and HTML are left in build/notebooks
# make test       checks and tests of every room, notebooks included: 8 minutes on two cores of an AMD EPYC, 15 on the reference machine
# make test-slow  the other tests: killed trainings, rehearsals, worked examples, bench, the browser
# make lab        open the notebooks in JupyterLab
# make student    the notebooks without the exercises' answers, in build/student
# make book       a site of the executed notebooks, in build/book
# make rehearse   the notebooks without network, widgets, a folder to write to ...
# make gpu        measure this machine's GPU: a report in benchmarks/gpu, and its row in README.md
# make notebooks  make notebooks/*.ipynb again from notebooks/src
# make clean      remove what the targets above left, but not .venv
#
# Each makes .venv first, if need be. Another Python: make tutorial PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A Python that has torch and the other packages already: make gpu GPU_PYTHON=python3 installs nothing.
GPU_PYTHON ?=
export VADLIB_PROFILE ?= quick

# Notebooks run in their own folder, so a relative path would mean another place there.
ifneq ($(strip $(VADLIB_DATA)),)
absolute := $(shell cd "$(VADLIB_DATA)" 2>/dev/null && pwd)
$(if $(absolute),,$(error VADLIB_DATA = $(VADLIB_DATA): no such folder))
override export VADLIB_DATA := $(absolute)
endif

VERSION_CHECK = import sys; v = sys.version_info[:2]; \
  sys.exit(0 if (3, 11) <= v <= (3, 13) else "vadlib needs Python 3.11, 3.12 or 3.13; %s is %d.%d: name another one with make PYTHON=..." % (sys.executable, *v))

.PHONY: help tutorial test test-slow lab student book rehearse gpu notebooks clean
help:
	@sed -n 's/^# make/make/p' Makefile

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON): not found; name a Python 3.11 to 3.13 with make PYTHON=..."; exit 1; }
	@"$(PYTHON)" -c '$(VERSION_CHECK)'
	"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(STAMP): pyproject.toml | $(BIN)/python
	@$(BIN)/python -c '$(VERSION_CHECK)'
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@

tutorial: $(STAMP)
	$(BIN)/python tools/notebooks.py run

# nbmake executes fresh copies of the notebooks, with runs of their own; then the tests look at these copies. Notebooks and
# tests take one thread each, so two run at a time; those of one file stay together, and share what they made. Notebook 07
# takes longest and comes first; 09 reads the scores that 07 leaves, and comes last.
RUNS := VADLIB_RUNS="$(CURDIR)/build/test/runs"
TWO := OMP_NUM_THREADS=1 $(RUNS) $(BIN)/python -m pytest --numprocesses 2 --dist loadfile
COPIES := build/test/notebooks
test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/style.py check vadlib tools benchmarks
	$(BIN)/mypy
	$(BIN)/python tools/notebooks.py copy
	rm -rf build/test/runs
	$(TWO) --nbmake --overwrite --nbmake-timeout=1200 \
	  $(COPIES)/07_* $(COPIES)/0[0-68]_* $(COPIES)/1*_* $(COPIES)/09_*
	$(TWO) -m "not slow" --durations 20 tests

# Tests in a browser wait for pictures: they get the machine to themselves.
test-slow: $(STAMP)
	$(TWO) -m slow --ignore tests/browser tests
	$(RUNS) $(BIN)/python -m pytest -m slow tests/browser

lab: $(STAMP)
	$(BIN)/python -m jupyter lab notebooks

student: $(STAMP)
	$(BIN)/python tools/notebooks.py student

book: $(STAMP)
	$(BIN)/python tools/notebooks.py book

rehearse: $(STAMP)
	$(BIN)/python tools/rehearse.py

gpu: $(if $(GPU_PYTHON),,$(STAMP))
	$(or $(GPU_PYTHON),$(BIN)/python) tools/gpu.py measure
	$(or $(GPU_PYTHON),$(BIN)/python) tools/gpu.py table

notebooks: $(STAMP)
	$(BIN)/python tools/notebooks.py build

clean:
	rm -rf build .pytest_cache .ruff_cache .hypothesis
