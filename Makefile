# Every task of this repository. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# What may be given, as NAME=value or in the environment. Recipes read it as "$$NAME", never as $(NAME): a value
# that were pasted into the text of a recipe could end its quotes, and what follows would be run.
PYTHON ?= python3.11
ARM64_RUNTIME ?= .cache/runtime
IMAGES ?=
PHOTO ?=
TO ?=
COUNT ?= 600
ARGS ?=
PORT ?=
BUCKET ?=
PREFIX ?=
OUTSIDE ?=
REGION ?=
SEED ?= 1
ONLY ?=
EXAMPLES ?= some
RUNS ?= not rare
GIVEN := PYTHON ARM64_RUNTIME IMAGES PHOTO TO COUNT ARGS PORT BUCKET PREFIX OUTSIDE REGION SEED ONLY EXAMPLES RUNS
# As it was typed: without this make itself would expand a dollar in it.
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)

CACHE := .cache
# Its list of fonts, which matplotlib would else write to the home folder.
export MPLCONFIGDIR := $(CURDIR)/$(CACHE)/matplotlib
AIRFLOW_VENV := .venv/airflow
SPARK_VENV := .venv/spark
SPARK_OLDEST_VENV := .venv/spark-oldest
SPARK_NEWEST_VENV := .venv/spark-newest
BENCH_VENV := .venv/bench
NOTEBOOKS_VENV := .venv/notebooks
TOOLS_VENV := .venv/tools
UV := $(TOOLS_VENV)/bin/uv

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 20

# --- set-up -----------------------------------------------------------------------------------
# Each stamp depends on the lock file it was made from, so that a second call has nothing to do.

# The checkout itself, editable: no path is set by hand. Its build needs hatchling, which is pinned apart.
INSTALL_CHECKOUT := $(UV) pip install --quiet --no-deps --build-constraints requirements/build.txt --editable . --python
MACHINE := $(shell uname -m)
RUNTIME := $(CACHE)/runtime/runtime-$(MACHINE).tar.gz
AIRFLOW_DB := .state/airflow/.migrated
SET_UP := $(AIRFLOW_VENV)/.installed $(SPARK_VENV)/.installed $(CACHE)/jars/.complete \
          $(SPARK_VENV)/java-classes.jsa $(CACHE)/model/model.json $(RUNTIME) $(AIRFLOW_DB)

.PHONY: setup
setup:  ## install everything that run and test need (they call it themselves)
	@$(MAKE) --silent -j2 $(SET_UP)

$(TOOLS_VENV)/.installed: requirements/bootstrap.txt requirements/build.txt
	@command -v "$$PYTHON" >/dev/null || \
	  { echo "Python 3.11 was not found as '$$PYTHON': install it, or name it with PYTHON=/path/to/python3.11." >&2; exit 2; }
	@"$$PYTHON" dev/local_run/preflight.py
	@echo "Setting up: environments, Java, the model (a few minutes, once)"
	@"$$PYTHON" -m venv --clear $(TOOLS_VENV)
	@$(TOOLS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@$(INSTALL_CHECKOUT) $(TOOLS_VENV)
	@touch $@

$(AIRFLOW_VENV)/.installed: requirements/airflow-dev.txt requirements/build.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the Airflow environment"
	@$(UV) venv --quiet --clear --python "$$PYTHON" $(AIRFLOW_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(AIRFLOW_VENV)/bin/python -r requirements/airflow-dev.txt
	@$(INSTALL_CHECKOUT) $(AIRFLOW_VENV)
	@touch $@

$(SPARK_VENV)/.installed: requirements/spark.txt requirements/build.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the Spark environment"
	@$(UV) venv --quiet --clear --python "$$PYTHON" $(SPARK_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(SPARK_VENV)/bin/python -r requirements/spark.txt
	@$(INSTALL_CHECKOUT) $(SPARK_VENV)
	@touch $@

.venv/%/java-classes.jsa: deploy/artifacts/java_classes.py deploy/artifacts/java_training.py | .venv/%/.installed
	@echo "Laying out Spark's classes for quick starts"
	@.venv/$*/bin/python -m artifacts.java_classes

$(CACHE)/jars/.complete: requirements/jars.txt | $(AIRFLOW_VENV)/.installed
	@echo "Getting the S3A jars"
	@$(AIRFLOW_VENV)/bin/python -m artifacts.jars --output $(CACHE)/jars
	@touch $@

$(CACHE)/model/model.json: requirements/weights.txt deploy/artifacts/model_artifact.py deploy/artifacts/weights.py plugins/fruit_contract/model_files.py | $(SPARK_VENV)/.installed
	@echo "Building the model"
	@mkdir -p $(CACHE)
	@# TensorFlow says a great deal while it converts: shown only when it fails.
	@KERAS_HOME=$(CACHE)/keras $(SPARK_VENV)/bin/python -m artifacts.model_artifact --output $(CACHE)/model 2>$(CACHE)/model.log || \
	  { cat $(CACHE)/model.log >&2; exit 1; }
	@touch $@

BUILD_RUNTIME := $(TOOLS_VENV)/bin/python -m artifacts.runtime --output $(CACHE)/runtime --platform

$(RUNTIME): requirements/spark-runtime.txt deploy/artifacts/archives.py deploy/artifacts/runtime.py deploy/artifacts/symbols.py | $(TOOLS_VENV)/.installed
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
	@for name in bootstrap build airflow airflow-dev airflow-oldest docker mwaa-image local-aws spark-runtime spark spark-oldest spark-newest bench weights infra clients notebooks provider-tests; do \
	  $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links $$([[ $$name = weights || $$name = provider-tests ]] && echo --no-deps) \
	    requirements/$$name.in -o requirements/$$name.txt; done
	@$(TOOLS_VENV)/bin/python -m artifacts.debian

# --- running ----------------------------------------------------------------------------------

LOCAL_RUN := $(AIRFLOW_VENV)/bin/python -m local_run
IMAGES_OPTION := $${IMAGES:+"--images=$$IMAGES"}
PHOTOS_OPTION := $${IMAGES:+"--photos=$$IMAGES"}
PORT_OPTION := $${PORT:+"--port=$$PORT"}
.PHONY: run
run: setup  ## run the pipeline once: IMAGES=folder or COUNT=600, ARGS="components=64 ...", PORT=
	@exec $(LOCAL_RUN) run "--count=$$COUNT" "--args=$$ARGS" $(IMAGES_OPTION) $(PORT_OPTION)

.PHONY: predict
predict: $(CACHE)/model/model.json  ## say what fruit is on a photo: PHOTO=photo or folder, ARGS="--json --result s3://bucket"
	@set -f; exec $(SPARK_VENV)/bin/python -m predict $$ARGS $${PHOTO:+-- "$$PHOTO"}

.PHONY: inspect
inspect: $(CACHE)/model/model.json  ## show what the model sees of a photo, and its nearest photos: PHOTO=photo, ARGS="--result s3://bucket"
	@set -f; exec $(SPARK_VENV)/bin/python -m inspect_photo $$ARGS $${PHOTO:+-- "$$PHOTO"}

.PHONY: export
export: $(AIRFLOW_VENV)/.installed  ## write the current result to TO=new.csv, .parquet or .npy: ARGS="--result s3://bucket"
	@set -f; exec $(AIRFLOW_VENV)/bin/python -m fruit_pipeline export $${TO:+"--to=$$TO"} $$ARGS

.PHONY: export-model
export-model: $(CACHE)/model/model.json  ## write the classifier for apps, out/model/*.tflite: ARGS="--result s3://bucket", IMAGES=folder
	@set -f; mkdir -p $(CACHE); $(SPARK_VENV)/bin/python -m artifacts.classifier_export $(PHOTOS_OPTION) $$ARGS 2>$(CACHE)/export.log || \
	  { grep "^error" $(CACHE)/export.log || cat $(CACHE)/export.log; exit 1; } >&2

$(NOTEBOOKS_VENV)/.installed: requirements/notebooks.txt requirements/build.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the notebooks' environment: JupyterLab, pandas, DuckDB"
	@$(UV) venv --quiet --clear --python "$$PYTHON" $(NOTEBOOKS_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(NOTEBOOKS_VENV)/bin/python -r requirements/notebooks.txt
	@$(INSTALL_CHECKOUT) $(NOTEBOOKS_VENV)
	@touch $@

.PHONY: notebook
notebook: $(NOTEBOOKS_VENV)/.installed  ## explore the current result in JupyterLab, of out/latest or a bucket, until Ctrl-C: PORT=8888
	@exec $(NOTEBOOKS_VENV)/bin/python -m exploring lab $(PORT_OPTION)

.PHONY: notebook-write
notebook-write: $(NOTEBOOKS_VENV)/.installed  ## write notebooks/*.ipynb from the texts beside them
	@$(NOTEBOOKS_VENV)/bin/python -m exploring write

.PHONY: up
up: setup  ## keep local AWS and Airflow's UI up until Ctrl-C: PORT=8080
	@set -f; exec $(LOCAL_RUN) up $(PORT_OPTION) $$ARGS

.PHONY: drops
drops: setup  ## drop, change and delete photos in a watched bucket, and count what came of it: IMAGES=folder
	@set -f; exec $(LOCAL_RUN) drops $(IMAGES_OPTION) $(PORT_OPTION) $$ARGS

.PHONY: aws
aws: setup  ## local AWS alone in the foreground, with the exports that a client needs
	@exec $(AIRFLOW_VENV)/bin/python -m local_aws --state-dir .state/aws --spark-python $(SPARK_VENV)/bin/python \
	  $(if $(wildcard $(SPARK_OLDEST_VENV)/.installed),--older-spark-python $(SPARK_OLDEST_VENV)/bin/python) \
	  $(if $(wildcard $(SPARK_NEWEST_VENV)/.installed),--newer-spark-python $(SPARK_NEWEST_VENV)/bin/python) --jars-dir $(CACHE)/jars

.PHONY: upload
upload: $(AIRFLOW_VENV)/.installed  ## photos into a bucket, here or on AWS: IMAGES=folder BUCKET=name PREFIX=Test/ REGION=eu-west-1
	@set -f; exec $(AIRFLOW_VENV)/bin/python -m fruit_pipeline.upload $(IMAGES_OPTION) $${BUCKET:+"--bucket=$$BUCKET"} \
	  $${PREFIX:+"--prefix=$$PREFIX"} $${REGION:+"--region=$$REGION"} $$ARGS

# --- measuring --------------------------------------------------------------------------------

$(BENCH_VENV)/.installed: requirements/bench.txt requirements/build.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the benchmark's environment: the Spark side, and pandas for the peers"
	@$(UV) venv --quiet --clear --python "$$PYTHON" $(BENCH_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(BENCH_VENV)/bin/python -r requirements/bench.txt
	@$(INSTALL_CHECKOUT) $(BENCH_VENV)
	@touch $@

# Two settings that some machines have for older OpenBLAS builds slow the current one, on every side.
BENCH := env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BENCH_VENV)/bin/python -m bench
BENCH_SET_UP := $(BENCH_VENV)/.installed $(BENCH_VENV)/java-classes.jsa $(AIRFLOW_VENV)/.installed $(CACHE)/jars/.complete $(CACHE)/model/model.json

.PHONY: bench
bench:  ## measure against the peers and judge the targets: 25 minutes; IMAGES=folder
	@$(MAKE) --silent -j2 $(BENCH_SET_UP)
	@$(BENCH) $(IMAGES_OPTION)

.PHONY: scale
scale: $(AIRFLOW_VENV)/.installed  ## write docs/evidence/scale.md: the estimate for more photos, and what `make scale-measure` has kept
	@$(AIRFLOW_VENV)/bin/python -m evidence.scale_page

.PHONY: scale-measure
scale-measure:  ## measure what docs/evidence/scale.md keeps: 10 million keys, 100,000 files, the model of speed: 40 minutes
	@$(MAKE) --silent -j2 $(BENCH_SET_UP)
	@$(AIRFLOW_VENV)/bin/python -m bench.large_run --record
	@$(BENCH).driver_memory --record
	@$(BENCH).speed_model --record
	@$(MAKE) --silent scale

.PHONY: bench-quick
bench-quick:  ## the same at small sizes, once, without judging
	@$(MAKE) --silent -j2 $(BENCH_SET_UP)
	@$(BENCH) --quick $(IMAGES_OPTION)

.PHONY: bench-engines
bench-engines: $(BENCH_VENV)/.installed $(CACHE)/model/model.json  ## compare what can run the network into docs/evidence/engines.md: IMAGES=folder
	@$(BENCH).engines $(IMAGES_OPTION)

.PHONY: bench-accuracy
bench-accuracy: $(BENCH_VENV)/.installed $(CACHE)/model/model.json  ## measure what precisions and image sizes cost the classifier into docs/evidence/image-size.md: IMAGES=folder of films
	@$(BENCH).accuracy $(IMAGES_OPTION)

.PHONY: classifier-report
classifier-report:  ## train each kind of classifier on IMAGES=folder, one folder a label, and write docs/evidence/classifier.md; OUTSIDE=folder of other things
	@$(MAKE) --silent -j2 $(BENCH_SET_UP)
	@$(BENCH).classifier_report $(IMAGES_OPTION) $${OUTSIDE:+"--outside=$$OUTSIDE"}

# --- checking ---------------------------------------------------------------------------------

AIRFLOW_PYTEST := $(AIRFLOW_VENV)/bin/python -m pytest
SPARK_OLDEST_PYTEST := $(SPARK_OLDEST_VENV)/bin/python -m pytest
SPARK_NEWEST_PYTEST := $(SPARK_NEWEST_VENV)/bin/python -m pytest
MEASURED := -m coverage run -m pytest
UNIT_TESTS := tests/dags tests/fruit_contract tests/fruit_pipeline tests/repository tests/dev/local_run tests/dev/evidence \
              $(wildcard tests/dev/chaos/test_chaos_*.py tests/deploy/infra/test_infra_*.py) \
              tests/dev/bench/test_generated_bucket.py tests/deploy/docker/test_compose_file.py \
              tests/deploy/docker/test_local_aws_image.py tests/deploy/smoke/test_smoke_questions.py
SPARK_TESTS := tests/fruit_spark tests/deploy/artifacts tests/dev/bench/test_bench.py \
               tests/dev/bench/test_film_accuracy.py

$(SPARK_OLDEST_VENV)/.installed: requirements/spark-oldest.txt requirements/build.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the oldest Spark that the steps are tested with"
	@$(UV) venv --quiet --clear --python "$$PYTHON" $(SPARK_OLDEST_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(SPARK_OLDEST_VENV)/bin/python -r requirements/spark-oldest.txt
	@$(INSTALL_CHECKOUT) $(SPARK_OLDEST_VENV)
	@touch $@

$(SPARK_NEWEST_VENV)/.installed: requirements/spark-newest.txt requirements/jars-newest.txt requirements/build.txt \
                                 deploy/artifacts/java_launcher.py | $(TOOLS_VENV)/.installed $(AIRFLOW_VENV)/.installed
	@echo "Installing the newest Spark that the steps are tested with"
	@$(UV) venv --quiet --clear --python "$$PYTHON" $(SPARK_NEWEST_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(SPARK_NEWEST_VENV)/bin/python -r requirements/spark-newest.txt
	@$(INSTALL_CHECKOUT) $(SPARK_NEWEST_VENV)
	@$(SPARK_NEWEST_VENV)/bin/python -m artifacts.java_launcher
	@# In the environment: its Hadoop is another than that of the other two.
	@$(AIRFLOW_VENV)/bin/python -m artifacts.jars --list requirements/jars-newest.txt --output $(SPARK_NEWEST_VENV)/s3a-jars
	@touch $@

# A file stays with one process. End to end is not measured: a tracer in every process of Airflow doubles its time.
IN_TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder "--hypothesis-profile=$$EXAMPLES"
.PHONY: browser
browser:  ## Chromium, in which tests use Airflow's UI: installed where it is missing (needs apt and root)
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null || \
	  { echo "Installing Chromium" && apt-get -qq update && \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium >/dev/null; } || \
	  { echo "Chromium was not installed: run \`apt-get install chromium\` as root." >&2; exit 2; }

.PHONY: test
test: setup browser  ## unit, DAG integrity, Spark, local AWS and end to end, with the lines that they cover
	@$(AIRFLOW_PYTEST) $(IN_TWO) -m "$$RUNS" tests/e2e/test_pipeline.py tests/e2e/test_make_run.py \
	  tests/e2e/test_ui.py
	@rm -rf .state/coverage && mkdir -p .state/coverage
	@$(AIRFLOW_VENV)/bin/python $(MEASURED) $(IN_TWO) tests/on_local_aws tests/dev/local_aws $(UNIT_TESTS)
	@$(SPARK_VENV)/bin/python $(MEASURED) --numprocesses 2 --dist loadfile --no-loadscope-reorder $(SPARK_TESTS)
	@$(AIRFLOW_VENV)/bin/python -m coverage combine --quiet
	@for side in plugins spark; do $(AIRFLOW_VENV)/bin/python -m coverage report --include="$$side/*"; done

.PHONY: test-unit
test-unit: setup  ## the fast tests alone
	@$(AIRFLOW_PYTEST) $(UNIT_TESTS) -m "not slow" --hypothesis-profile few --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: versions-test
versions-test: setup $(SPARK_OLDEST_VENV)/.installed $(SPARK_NEWEST_VENV)/.installed  ## two other Airflows, the oldest and the newest Spark, and their releases of EMR
	@$(AIRFLOW_PYTEST) tests/airflow_versions tests/e2e/test_releases.py
	@# What starts a Spark: the other tests never touch it, and the reference engine needs TensorFlow.
	@$(SPARK_OLDEST_PYTEST) $(SPARK_TESTS) -m "spark and not keras"
	@$(SPARK_NEWEST_PYTEST) $(SPARK_TESTS) -m "spark and not keras"

.PHONY: drops-test
drops-test: setup  ## `make drops` at a small size
	@$(AIRFLOW_PYTEST) tests/drops/test_make_drops.py

.PHONY: soak
soak: setup  ## drops on a real Airflow: idleness, kills, errors and expired credentials
	@$(AIRFLOW_PYTEST) tests/drops/test_photo_drops.py

# The cheapest first. What follows a red part is run all the same: one call finds all that is red.
TEST_ALL := lint infra-test clients-test notebook-test versions-test drops-test soak compose-test test chaos

.PHONY: test-all
test-all: setup  ## everything there is, once: before a release
	@red=""; for part in $(TEST_ALL); do \
	  echo "=== make $$part"; $(MAKE) $$part EXAMPLES=many RUNS='rare or not rare' || red="$$red $$part"; done; \
	  if [ "$$red" ]; then echo "Red:$$red" >&2; exit 1; else echo "All green: $(TEST_ALL)"; fi

.PHONY: lint
lint: setup  ## ruff, the direction of imports, mypy and shellcheck
	@$(AIRFLOW_VENV)/bin/ruff check . && $(AIRFLOW_VENV)/bin/ruff format --check .
	@$(AIRFLOW_VENV)/bin/lint-imports --no-logo
	@$(AIRFLOW_VENV)/bin/mypy
	@$(AIRFLOW_VENV)/bin/mypy --python-executable $(SPARK_VENV)/bin/python spark deploy/artifacts dev/bench
	@$(AIRFLOW_VENV)/bin/shellcheck .ci/run deploy/artifacts/*.sh spark/bootstrap/*.sh

CLIENTS_VENV := .venv/clients

$(CLIENTS_VENV)/.installed: requirements/clients.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the clients of EMR that local AWS is tested with"
	@$(UV) venv --quiet --clear --python "$$PYTHON" $(CLIENTS_VENV)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(CLIENTS_VENV)/bin/python -r requirements/clients.txt
	@touch $@

.PHONY: clients-test
clients-test: $(CLIENTS_VENV)/.installed setup  ## clients of EMR that others wrote, on local AWS: AWS CLI, SDK for pandas, mrjob, Airflow's own test
	@$(AIRFLOW_PYTEST) tests/clients

.PHONY: notebook-test
notebook-test: $(NOTEBOOKS_VENV)/.installed setup  ## the notebooks: on the result of a real run, and the cluster's on a local Spark
	@$(SPARK_VENV)/bin/python -m pytest tests/fruit_spark/notebooks
	@$(NOTEBOOKS_VENV)/bin/python -m pytest tests/notebooks

.PHONY: compose-test
compose-test: setup  ## docker-compose.yaml brought up for real, a run with restarts in it, and down again
	@$(AIRFLOW_PYTEST) tests/deploy/docker/test_compose.py

.PHONY: chaos
chaos: setup  ## break everything in turn, and show that no cluster is left: SEED=1, ONLY="words of a scenario"
	@$(AIRFLOW_VENV)/bin/python -m chaos "--seed=$$SEED" \
	  --document docs/evidence/chaos.md $${ONLY:+"--only=$$ONLY"}

# The processor of the cluster is not this machine's: its runtime is built beside this machine's own.
.PHONY: arm64-check
arm64-check: setup  ## runtime and models on an emulated Graviton2: IMAGES=folder (skipped without the tool)
	@$(SPARK_VENV)/bin/python -m artifacts.arm64_check "--runtime=$$ARM64_RUNTIME" $(PHOTOS_OPTION)

.PHONY: quality
quality: setup  ## measure every precision and image size into docs/evidence/precision.md: IMAGES=folder
	@$(SPARK_VENV)/bin/python -m artifacts.quality $(PHOTOS_OPTION)

.PHONY: dag-picture
dag-picture: setup browser  ## play a small run and write docs/dag.png, its graph in Airflow's UI
	@$(AIRFLOW_VENV)/bin/python -m evidence.dag_picture

.PHONY: tour
tour: setup browser $(NOTEBOOKS_VENV)/.installed  ## play two runs and write docs/tour.md, docs/evidence/talk.md and their pictures: IMAGES=folder
	@$(AIRFLOW_VENV)/bin/python -m evidence.tour $(IMAGES_OPTION)

.PHONY: docs
docs: $(AIRFLOW_VENV)/.installed  ## write docs/settings.md from the models that check the settings
	@$(AIRFLOW_VENV)/bin/python -m evidence.settings_page

# --- AWS --------------------------------------------------------------------------------------

INFRA_VENV := .venv/infra
INFRA := $(AIRFLOW_VENV)/bin/python -m infra
# ARGS becomes words at its blanks alone (set -f: a * in it stays one).

# Apart from the others: checkov pins what Airflow needs newer.
$(INFRA_VENV)/.installed: requirements/infra.txt | $(TOOLS_VENV)/.installed
	@echo "Installing the environment that checks the template"
	@$(UV) venv --quiet --clear --python "$$PYTHON" $(INFRA_VENV)
	@$(UV) pip install --quiet --require-hashes --python $(INFRA_VENV)/bin/python -r requirements/infra.txt
	@touch $@

# What the pipeline itself takes for the EU.
EU_REGIONS = $(shell $(AIRFLOW_VENV)/bin/python -c 'from fruit_pipeline.security.regions import EU_REGIONS; print(*EU_REGIONS)')

.PHONY: infra-test
infra-test: $(INFRA_VENV)/.installed setup  ## check the CloudFormation template (linted, scanned, deployed on moto, its policies tried) and `make aws-smoke`
	@$(INFRA_VENV)/bin/cfn-lint --regions $(EU_REGIONS) -- deploy/infra/template.yaml
	@$(INFRA_VENV)/bin/checkov --file deploy/infra/template.yaml --framework cloudformation --compact --quiet --skip-download
	@INFRA_DOCUMENT=docs/evidence/policies.md $(AIRFLOW_PYTEST) tests/deploy/infra tests/deploy/smoke

.PHONY: deploy
deploy: $(AIRFLOW_VENV)/.installed  ## create or update the stack in your account: ARGS="--bucket NAME --dry-run"
	@set -f; exec $(INFRA) deploy $$ARGS

.PHONY: destroy
destroy: $(AIRFLOW_VENV)/.installed  ## end the clusters, empty the bucket, delete the stack: ARGS=--dry-run
	@set -f; exec $(INFRA) destroy $$ARGS

.PHONY: prices
prices: $(AIRFLOW_VENV)/.installed  ## write the shipped price snapshot anew, from your account's price list
	@set -f; exec $(INFRA) prices $$ARGS

.PHONY: doctor
doctor: $(AIRFLOW_VENV)/.installed  ## look whether a run would find what it needs in your account: ARGS=--dry-run
	@set -f; exec $(INFRA) doctor $$ARGS

.PHONY: aws-smoke
aws-smoke: setup  ## two small runs in your account, at most 1 EUR, tell what only it can: ARGS="--region R --yes", ARGS=--remove
	@set -f; $(AIRFLOW_VENV)/bin/python -m smoke $$ARGS --dry-run  # words, credentials, stack: before a long build
	@$(BUILD_RUNTIME) aarch64
	@set -f; exec $(AIRFLOW_VENV)/bin/python -m smoke $$ARGS

.PHONY: mwaa
mwaa: setup  ## write what Amazon MWAA takes for your stack into out/mwaa
	@set -f; $(INFRA) mwaa $$ARGS --dry-run
	@$(BUILD_RUNTIME) aarch64
	@$(if $(wildcard $(CACHE)/runtime/python-aarch64.tar.gz),$(BUILD_INTERPRETER) aarch64)
	@set -f; exec $(INFRA) mwaa $$ARGS

.PHONY: clean
clean:  ## remove local state and results, and keep what was installed
	@! test -e .state/aws-smoke/made.json || \
	  { echo "A smoke test has left something in your account: run \`make aws-smoke ARGS=--remove\` first." >&2; exit 2; }
	@for lock in $$(find .state -maxdepth 2 -name lock 2>/dev/null); do flock --nonblock "$$lock" true || \
	  { echo ".state is in use by $$(cat "$$lock"): end that first." >&2; exit 2; }; done
	@rm -rf .state out
