# Each target sets up what it needs (.venv, the pinned dependencies, this package), then does its
# job. Options are make variables: `make eval MODEL=smol TASKS=arc_easy LIMIT=100`.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

OPTIONS := MODEL MIXTURE BASE SUITE TASKS LIMIT DATA MODELS DTYPE BACKEND BASE_URL NUM_FEWSHOT NOISE_FLOOR REFERENCE PROFILE BECAUSE SECONDS SEED TORCH_INDEX
MODEL ?= smol
# Set here, for a shell that counts seconds by this name would pass on its own.
SECONDS ?= 600

# What was typed on this command line, asked before the next line makes all of them our own.
GIVEN := $(foreach option,$(OPTIONS),$(if $(filter command,$(firstword $(origin $(option)))),$(option)))

# A key goes to no address that nobody typed: other programs have a variable of this name.
ifeq ($(filter BASE_URL,$(GIVEN)),)
override BASE_URL :=
endif

# Recipes read an option from the environment, as "$$MODEL": whatever a value contains, spaces,
# quotes or a dollar sign, neither make nor the shell interprets it.
$(foreach option,$(OPTIONS),$(eval override export $(option) := $$(value $(option))))

# Pastes `--flag value` into a command where the option was given: $(call flag,LIMIT,--limit).
flag = $${$(1):+$(2) "$$$(1)"}

# make takes a misspelt option (SUTIE=card) without a word and runs something else: refuse it.
UNKNOWN := $(foreach name,$(filter-out $(OPTIONS) ARGS PYTHON PIP_ARGS PYTEST_ARGS SHELL,$(.VARIABLES)),\
	$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
ifneq ($(strip $(UNKNOWN)),)
$(error unknown option $(strip $(UNKNOWN)); valid: $(OPTIONS) ARGS PYTHON PIP_ARGS PYTEST_ARGS)
endif

# Nor does a target tell of an option that it does not read: `make compare LIMIT=100` would compare
# whatever is stored. A target that is not listed here takes anything.
TAKES_eval := $(filter-out MIXTURE BASE PROFILE BECAUSE SECONDS SEED,$(OPTIONS))
TAKES_compare := MODEL BASE TASKS
TAKES_gate := MODEL BASE PROFILE DATA MODELS
TAKES_accept-baseline := MODEL BECAUSE
TAKES_report := SUITE
TAKES_soak := SECONDS SEED
TAKES_list := MODELS
TAKES_train := MODEL MODELS DATA
TAKES_data := MIXTURE DATA LIMIT
TAKES_parity := MODEL TASKS LIMIT DATA DTYPE MODELS BACKEND
TAKES_bench := $(TAKES_parity)
WHY_compare := ; runs are compared as they were scored: give it to make eval, for both models
GOALS := $(or $(MAKECMDGOALS),$(.DEFAULT_GOAL))
TAKEN := $(filter-out TORCH_INDEX,$(foreach goal,$(GOALS),$(or $(TAKES_$(goal)),$(OPTIONS)))) TORCH_INDEX
ifneq ($(filter-out $(TAKEN),$(GIVEN)),)
$(error $(GOALS) does not take $(filter-out $(TAKEN),$(GIVEN)), only $(TAKEN) ARGS$(WHY_$(firstword $(GOALS))))
endif

BIN := .venv/bin
PIP_ARGS ?= -qq
# gptqmodel pins an older numpy: where it is, or is about to be, that numpy holds for all packages.
INSTALL := { if [ -e .venv/.with-quant ]; then grep -v '^numpy==' constraints.txt; \
	cat constraints-quant.txt; else cat constraints.txt; fi; } > .venv/constraints.txt; \
	$(BIN)/python -m pip --disable-pip-version-check --no-input install $(PIP_ARGS) \
	--constraint .venv/constraints.txt
OR_EXPLAIN := || { echo "setup: failed; make setup PIP_ARGS=-v says more" >&2; exit 1; }
PYTHON ?= $(firstword $(foreach name,python3.11 python3 python,$(shell \
	$(name) -c 'import sys; sys.version_info[:2] == (3, 11) and print("$(name)")' 2>/dev/null)))
PYTEST_ARGS ?= -n 2 --dist loadgroup

.PHONY: help setup eval compare gate accept-baseline report screenshots list test soak check parity bench train data lock extras clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Options: $(OPTIONS)"
	@echo "  ARGS='--flag ...' is handed on as it is; PYTHON names the interpreter (3.11)."

setup: .venv/.installed ## Install everything into .venv

# MODEL has a default, which gives way to several: ARGS="--models a,b".
COMMA := ,
SEVERAL = $(if $(filter MODEL,$(GIVEN)),,$(subst $(COMMA), ,$(patsubst --models=%,%,$(filter \
	--models=%,$(subst --models ,--models=,$(ARGS))))))
ONE = $(if $(SEVERAL),,--model "$$MODEL")
EVAL = $(BIN)/harness eval $(ONE) $(call flag,SUITE,--suite) $(call flag,TASKS,--tasks) \
	$(call flag,LIMIT,--limit) $(call flag,DATA,--data) $(call flag,MODELS,--models-dir) \
	$(call flag,DTYPE,--dtype) $(call flag,BACKEND,--backend) $(call flag,BASE_URL,--base-url) \
	$(call flag,NUM_FEWSHOT,--num-fewshot) $(call flag,NOISE_FLOOR,--noise-floor) \
	$(call flag,REFERENCE,--reference)
TRAIN = $(BIN)/harness-train $(call flag,MODELS,--models) $(call flag,DATA,--data)

# `harness-train --needs` answers with the extras that MODEL lacks here, and the word build.
# A variable, because make runs a line that holds MAKE itself even where asked not to (make -n).
AGAIN = $(MAKE) --no-print-directory
EXTRAS = for need in $$needs; do if [ "$$need" != build ]; then $(AGAIN) .venv/.installed-$$need; fi; done

# What the command line asks for is looked up before minutes of building, not after them.
eval: .venv/.installed ## Score MODEL (default: smol) on TASKS or SUITE, building it if it is missing
	@set -e; for model in $(if $(BASE_URL),,$(or $(SEVERAL),"$$MODEL")); do \
		needs=$$($(TRAIN) --needs -- "$$model"); \
		case " $$needs " in *" build "*) $(EVAL) $(ARGS) --check;; esac; \
		$(EXTRAS); \
		case " $$needs " in *" build "*) $(TRAIN) -- "$$model";; esac; done; \
	others=$$($(EVAL) $(ARGS) --missing); \
	for other in $$others; do \
		needs=$$($(TRAIN) --needs -- "$$other"); $(EXTRAS); $(TRAIN) -- "$$other"; done; \
	$(EVAL) $(ARGS)

compare: .venv/.installed ## Say whether MODEL (or several: A,B) is better or worse than BASE
	@if [ -z "$$BASE" ]; then \
		echo "compare: name two models: make compare BASE=smol MODEL=smol-dpo" >&2; exit 2; fi
	@$(BIN)/harness compare $(call flag,TASKS,--tasks) $(ARGS) -- "$$BASE" "$$MODEL"

# A folder that the shell exports is for other targets; one that was typed is handed on, and refused
# without --sequential.
LOOKS = $(if $(filter --sequential,$(ARGS))$(filter DATA MODELS,$(GIVEN)),$(call flag,DATA,--data) \
	$(call flag,MODELS,--models-dir))

gate: .venv/.installed ## Say whether MODEL may take the place of the committed baseline BASE
	@if [ -z "$$BASE" ]; then \
		echo "gate: name a baseline: make gate BASE=smol-dpo MODEL=smol-dpo-int4" >&2; exit 2; fi
	@$(BIN)/harness gate --baseline "$$BASE" --model "$$MODEL" $(call flag,PROFILE,--profile) \
		$(LOOKS) $(ARGS)

accept-baseline: .venv/.installed ## Make MODEL's newest run its baseline; BECAUSE says why a figure may fall
	@$(BIN)/harness accept $(call flag,BECAUSE,--lower) $(ARGS) -- "$$MODEL"

report: .venv/.installed ## Write the leaderboard; SUITE=zephyr-report: beside published figures
	@$(BIN)/harness report $(call flag,SUITE,--suite) $(ARGS)

screenshots: .venv/.installed-dev ## Photograph the pages of reports/ in Chromium, into reports/screenshots
	@$(BIN)/python -m tests.report.screenshots reports reports/screenshots

list: .venv/.installed ## List the models, with what is present here; ARGS=tasks lists the tasks
	@$(BIN)/harness list $(call flag,MODELS,--models-dir) $(or $(ARGS),models)

train: .venv/.installed ## Build MODEL and the ancestors it lacks; ARGS=--plan only says what
	@set -e; $(if $(findstring --plan,$(ARGS)),,needs=$$($(TRAIN) --needs $(ARGS) -- "$$MODEL"); $(EXTRAS);) \
	$(TRAIN) $(ARGS) -- "$$MODEL"

data: .venv/.installed ## Make MIXTURE of training data from DATA, with its card; LIMIT: a trial
	@if [ -z "$$MIXTURE" ]; then \
		echo "data: name a mixture: make data MIXTURE=gsm8k-arc DATA=path/to/data" >&2; exit 2; fi
	@$(BIN)/harness-train data $(call flag,DATA,--data) $(call flag,LIMIT,--limit) $(ARGS) -- "$$MIXTURE"

parity: .venv/.installed ## Hold the answers for MODEL against a direct lm-eval run
	@$(BIN)/python -m tests.parity.run --model "$$MODEL" $(call flag,TASKS,--tasks) \
		$(call flag,LIMIT,--limit) $(call flag,DATA,--data) $(call flag,DTYPE,--dtype) \
		$(call flag,MODELS,--models-dir) $(call flag,BACKEND,--backend) $(ARGS)

bench: .venv/.installed ## Time the engine against lm-eval; TASKS picks works, LIMIT their docs
	@$(BIN)/python -m tests.bench.run --model "$$MODEL" $(call flag,TASKS,--work) \
		$(call flag,LIMIT,--docs) $(call flag,DATA,--data) $(call flag,DTYPE,--dtype) \
		$(call flag,BACKEND,--backend) $(call flag,MODELS,--models-dir) $(ARGS)

# One thread a worker: two workers of two threads each wait for one another's cores, ten times as long.
test: .venv/.installed-dev ## Run the tests
	@OMP_NUM_THREADS="$${OMP_NUM_THREADS:-1}" $(BIN)/python -m pytest -q $(PYTEST_ARGS) $(ARGS)

# Runs of a tiny model are killed and otherwise disturbed; what survives is held against an undisturbed one.
soak: .venv/.installed-dev ## Break runs off for SECONDS (600) and count what they survive; SEED=
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak $(call flag,SECONDS,--seconds) $(call flag,SEED,--seed) $(ARGS)

check: .venv/.installed-dev ## Lint, formatting, types, and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

lock: ## Pin the newest versions that pyproject.toml allows in constraints.txt
	@set -e; venv=$$(mktemp -d); trap 'rm -rf "$$venv"' EXIT; \
	echo "lock: installing without constraints"; \
	$(PYTHON) -m venv "$$venv"; \
	"$$venv/bin/pip" install -qq $(call flag,TORCH_INDEX,--extra-index-url) --editable '.[dev,train,mlflow,ray]'; \
	"$$venv/bin/pip" freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' > "$$venv/constraints.txt"; \
	mv "$$venv/constraints.txt" constraints.txt; \
	echo "lock: constraints.txt pins $$(wc -l < constraints.txt) packages"

extras: ## Say which extras can be installed together (minutes; asks a package index, installs nothing)
	@set -e; venv=$$(mktemp -d); trap 'rm -rf "$$venv"' EXIT; \
	$(PYTHON) -m venv "$$venv"; "$$venv/bin/pip" install -qq 'uv>=0.13,<0.14'; \
	"$$venv/bin/python" tests/extras.py

clean: ## Remove .venv, caches and built packages; runs and reports stay
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find harness training tasks tests -name __pycache__ -prune -exec rm -rf {} +

# The stamps are written last, so a failed or interrupted set-up is taken up again.
.venv/.installed: pyproject.toml constraints.txt
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
		echo "setup: needs Python 3.11; name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi
	@echo "setup: creating .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@if [ -n "$$TORCH_INDEX" ]; then \
		echo "setup: installing torch from TORCH_INDEX"; \
		$(INSTALL) --no-deps --index-url "$$TORCH_INDEX" torch $(OR_EXPLAIN); \
	fi
	@echo "setup: installing the packages pinned in constraints.txt (one to three minutes)"
	@$(INSTALL) --editable . $(OR_EXPLAIN)
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "setup: installing the development tools, what training needs, and ray"
	@$(INSTALL) --editable '.[dev,train,mlflow,ray]' $(OR_EXPLAIN)
	@touch .venv/.installed-train $@

.venv/.installed-train: .venv/.installed
	@echo "setup: installing what training needs (trl, peft, bitsandbytes)"
	@$(INSTALL) --editable '.[train]' $(OR_EXPLAIN)
	@touch $@

# gptqmodel is built from source, against the torch that is here.
.venv/.installed-quant: .venv/.installed constraints-quant.txt
	@echo "setup: installing what GPTQ and AWQ need; some of it is built from source (minutes)"
	@touch .venv/.with-quant
	@$(INSTALL) setuptools wheel $(OR_EXPLAIN)
	@$(INSTALL) --no-build-isolation gptqmodel $(OR_EXPLAIN)
	@$(INSTALL) --editable '.[quant]' $(OR_EXPLAIN)
	@touch $@
