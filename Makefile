# make book    run what has changed and build the book
# make test    run the tests
# Both set up everything they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := $(VENV)/.ready

COLLECTION ?=
PARAMS ?=
RUN ?=
DASK ?=
JOBS ?=
REPLICATES ?= 500
WORKERS ?= auto
OPTIONS := $(if $(PARAMS),--params '$(PARAMS)') $(if $(RUN),--run '$(RUN)') \
	$(if $(DASK),--dask '$(DASK)') $(if $(JOBS),--jobs '$(JOBS)')

.DEFAULT_GOAL := help
.PHONY: help setup book pdf test recovery multiverse bench clean

help:
	@echo "make book    run every notebook whose inputs changed, build the book, print its path"
	@echo "             COLLECTION=folder  another collection      PARAMS=file.yml  other parameters"
	@echo "             RUN=name           name of the run         JOBS=n           processes (default: one per core)"
	@echo "             DASK=tcp://...     workers of a Dask scheduler instead of processes"
	@echo "make pdf     the same, and the manuscript as one PDF, printed by Chromium, Chrome or Edge"
	@echo "make test    run the tests"
	@echo "             TESTS=path         only these             WORKERS=n        processes (default: one per core)"
	@echo "make recovery  draw the collection again with known truth, REPLICATES=500 times; store how it went"
	@echo "make multiverse  answer under every reasonable combination of choices, NULL=500 draws without an effect"
	@echo "make bench   speed beside other packages, which it installs in .bench: writes benchmarks/results.md"
	@echo "make setup   only set up $(VENV); both of the above do so   PYTHON=python3.12  with which Python"
	@echo "make clean   remove the runs and $(VENV)"

setup: $(READY)

book: $(READY)
	@$(BIN)/twostage run $(if $(COLLECTION),'$(COLLECTION)') $(OPTIONS)

pdf: $(READY)
	@$(BIN)/twostage run $(if $(COLLECTION),'$(COLLECTION)') $(OPTIONS) --pdf

# Each worker computes with one thread, so that they do not wait for each other's.
test: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

recovery: $(READY)
	@$(BIN)/twostage recovery $(if $(COLLECTION),'$(COLLECTION)') --replicates $(REPLICATES) $(if $(JOBS),--jobs '$(JOBS)')

multiverse: $(READY)
	@$(BIN)/twostage multiverse $(if $(COLLECTION),'$(COLLECTION)') --null $(or $(NULL),500) $(if $(JOBS),--jobs '$(JOBS)')

# The peers are tools of this benchmark only: they get an environment of their own.
PEERS := pymare pimeta mixedlm mixedlm-rs lme-python polars semopy
bench: $(READY)
	@test -d .bench || $(PYTHON) -m venv .bench
	@.bench/bin/python -m pip install --quiet --disable-pip-version-check -e . $(PEERS)
	@.bench/bin/python benchmarks/peers.py

clean:
	rm -rf runs $(VENV) .bench .readers

# Packages in .venv are of one Python: another one that is asked for needs them again.
VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
HAS := $(shell $(BIN)/python $(VERSION) 2>/dev/null)
ASKED := $(if $(filter-out file,$(origin PYTHON)),$(shell $(PYTHON) $(VERSION) 2>/dev/null))
OTHER := $(if $(HAS),$(if $(ASKED),$(if $(filter-out $(HAS),$(ASKED)),other-python)))

.PHONY: other-python
other-python:
	@echo "$(VENV) has Python $(HAS), and $(PYTHON) is $(ASKED): $(VENV) is set up again"

$(READY): requirements.lock pyproject.toml $(OTHER)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v[:2] <= (3, 14) else \
	"%s is Python %d.%d; this project needs 3.11, 3.12, 3.13 or 3.14: make PYTHON=python3.12 ..." % (sys.executable, *v[:2]))'
	@echo "1 of 3: a virtual environment in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "2 of 3: the packages of requirements.lock, which takes a few minutes"
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements.lock
	@echo "3 of 3: this project"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@if [ -e .git ] && ! git config core.hooksPath >/dev/null; then \
		echo "git: core.hooksPath is set to .githooks, whose hook refuses notebooks with outputs; undo: git config --unset core.hooksPath"; \
		git config core.hooksPath .githooks; fi
	@touch $@
