# Every task of this repository. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
CACHE := .cache
AIRFLOW_VENV := .venv/airflow
SPARK_VENV := .venv/spark
TOOLS_VENV := .venv/tools
UV := $(TOOLS_VENV)/bin/uv

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 16

# --- set-up -----------------------------------------------------------------------------------
# Each stamp depends on the lock file it was made from, so that a second call has nothing to do.

$(TOOLS_VENV)/.installed: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 was not found as '$(PYTHON)': install it, or name it with PYTHON=/path/to/python3.11." >&2; exit 2; }
	@$(PYTHON) -m venv --clear $(TOOLS_VENV) || \
	  { echo "Python 3.11 cannot make virtual environments: install its venv module (Debian: python3.11-venv)." >&2; exit 2; }
	@$(TOOLS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(AIRFLOW_VENV)/.installed: requirements/airflow-dev.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the Airflow environment"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(AIRFLOW_VENV)
	@$(UV) pip install --quiet --require-hashes --python $(AIRFLOW_VENV)/bin/python -r requirements/airflow-dev.txt
	@touch $@

$(SPARK_VENV)/.installed: requirements/spark.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the Spark environment"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(SPARK_VENV)
	@$(UV) pip install --quiet --require-hashes --python $(SPARK_VENV)/bin/python -r requirements/spark.txt
	@touch $@

.PHONY: lock
lock: $(TOOLS_VENV)/.installed  ## compile requirements/*.in into hash-locked requirements/*.txt
	@for name in bootstrap airflow airflow-dev spark-runtime spark weights; do \
	  $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links $$([ $$name = weights ] && echo --no-deps) \
	    requirements/$$name.in -o requirements/$$name.txt; done
