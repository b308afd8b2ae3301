# Every common task. `make demo` and `make test` start from a clone on a machine with Python 3.11 to 3.13 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SIDE_BY_SIDE := -n logical --dist loadfile --no-loadscope-reorder  # a worker per core; the slow folders come first
SHELL := bash
INSTALLED := $(VENV)/.installed
# Of pip's many lines those that tell how far it is: each package as it comes, and that it unpacks them.
INSTALL_STEPS := grep --line-buffered -oE '(Downloading|Using cached|Processing) .*\.whl( \(.*\))?$$|Installing collected packages'

VERSIONS := 3.11 3.12 3.13

.PHONY: help demo test lint types docs unit field integration browser faults long versions constraints clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.11") if not (3, 11) <= sys.version_info[:2] <= (3, 13) else None'
	@echo "Installing into $(VENV): 4 to 8 minutes the first time; the last 2 to 3 of them unpack what was downloaded"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
	  --constraint constraints.txt --editable '.[dev]' | $(INSTALL_STEPS)
	@touch $@

install: $(INSTALLED)  ## make .venv and install everything

demo: $(INSTALLED)  ## the whole chain in the profile demo; ends with where the report is
	@MEDCOT_PROFILE=demo $(BIN)/medcot init
	@MEDCOT_PROFILE=demo $(BIN)/medcot sync
	@MEDCOT_PROFILE=demo $(BIN)/medcot

test: lint types  ## lint, types and every test
	@$(BIN)/pytest medcot_pipeline_tests $(SIDE_BY_SIDE)

lint: $(INSTALLED)  ## ruff, rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(INSTALLED)  ## mypy
	@$(BIN)/mypy

docs: $(INSTALLED)  ## the documentation's site, in build/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "Documentation: $(CURDIR)/build/site/index.html"

unit: $(INSTALLED)  ## the fast tests alone
	@$(BIN)/pytest medcot_pipeline_tests/unit $(SIDE_BY_SIDE)

field: $(INSTALLED)  ## what people met elsewhere, staged after public reports
	@$(BIN)/pytest medcot_pipeline_tests/field $(SIDE_BY_SIDE)

integration: $(INSTALLED)  ## the chain in the profile tiny
	@$(BIN)/pytest medcot_pipeline_tests/integration $(SIDE_BY_SIDE)

browser: $(INSTALLED)  ## the pages in headless Chromium
	@$(BIN)/pytest medcot_pipeline_tests/browser $(SIDE_BY_SIDE)

long: $(INSTALLED)  ## tests of several trainings one after another
	@$(BIN)/pytest medcot_pipeline_tests -m long

versions:  ## the unit tests on each Python that pyproject.toml promises and this machine has, a fresh install for each
	@for version in $(VERSIONS); do \
	  command -v python$$version >/dev/null || { echo "python$$version is not on PATH: not tried"; continue; }; \
	  echo "python$$version: installing into build/python$$version" && rm -rf build/python$$version && \
	  python$$version -m venv build/python$$version && \
	  build/python$$version/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	    --editable '.[dev]' && \
	  build/python$$version/bin/python -m pytest medcot_pipeline_tests/unit -q && rm -rf build/python$$version || exit 1; \
	done

faults: $(INSTALLED)  ## the full schedule of kills, log in build/faults.log; FAULTS_SEED=... repeats one
	@mkdir -p build
	@seed=$${FAULTS_SEED:-$$(date +%s)}; echo "FAULTS_SEED=$$seed" | tee build/faults.log; \
	FAULTS_SEED=$$seed $(BIN)/pytest medcot_pipeline_tests/faults -m faults -v -s 2>&1 | tee -a build/faults.log; \
	exit $${PIPESTATUS[0]}

format: $(INSTALLED)  ## write the format that lint wants
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

constraints:  ## write constraints.txt anew from the newest versions that pyproject.toml allows
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet --editable '.[dev]'
	build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
	rm -rf build/constraints

clean:  ## remove the environment and the caches, not the data
	@test ! -d build/chains || chmod -R u+w build/chains  # the tests' chains are read-only
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
