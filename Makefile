# The front door. Every target sets up what it needs by itself; see `make help`.

TASK ?= digits
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$name && break; done)
VENV := .venv
HPSEARCH := $(VENV)/bin/hpsearch

# Options of the command line by their names in capitals: make search TRIALS=20 BUDGET=10m
OPTIONS = $(if $(TRIALS),--trials $(TRIALS)) $(if $(BUDGET),--budget $(BUDGET)) \
	$(if $(WORKERS),--workers $(WORKERS)) $(if $(SEED),--seed $(SEED)) \
	$(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(FINALISTS),--finalists $(FINALISTS)) \
	$(if $(SET),--set $(SET))

.DEFAULT_GOAL := help
.PHONY: help setup search train space presets leaderboard export evaluate baselines predict \
	report show compare plan doctor dashboard ui bench check format test lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/ready ## make the virtual environment; the other targets do it by themselves

$(VENV)/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 was found: install one, or name it" \
		"with PYTHON=/path/to/python."; exit 2; }
	@echo "Setting up $(VENV)/ once; this takes a few minutes."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

search: $(VENV)/ready ## search: TASK=fashion BUDGET=30m TRIALS=50 WORKERS=2 SET="optimizer=adam"
	@$(HPSEARCH) search $(TASK) $(OPTIONS)

train: $(VENV)/ready ## train one: TASK=mnist PRESET=mnist_conv_net, or CONFIG=file.yaml
	@$(HPSEARCH) train $(TASK) $(if $(PRESET),--preset $(PRESET)) $(if $(CONFIG),--config $(CONFIG))

space: $(VENV)/ready ## what may vary for TASK
	@$(HPSEARCH) space $(TASK)

presets: $(VENV)/ready ## the tutorials' models for TASK
	@$(HPSEARCH) presets $(TASK)

leaderboard: $(VENV)/ready ## the best trials of TASK
	@$(HPSEARCH) leaderboard $(TASK)

export: $(VENV)/ready ## the winner of TASK as script, model and card, to exports/; TRIAL=17 VERIFY=1
	@$(HPSEARCH) export $(TASK) $(if $(TRIAL),--trial $(TRIAL)) $(if $(VERIFY),--verify)

evaluate: $(VENV)/ready ## open the sealed test set for the winner of TASK, and count it
	@$(HPSEARCH) evaluate $(TASK)

predict: $(VENV)/ready ## ask the exported model: TASK=churn FILE=customers.csv
	@$(HPSEARCH) predict $(TASK) $(FILE)

baselines: $(VENV)/ready ## the tutorials' models of TASK, measured again: docs/results.md
	@$(HPSEARCH) baselines $(TASK)

report: $(VENV)/ready ## what each hyperparameter of TASK did, as a page: reports/fashion.html
	@$(HPSEARCH) report $(TASK)

show: $(VENV)/ready ## one trial as a person would want it: TASK=fashion TRIAL=17
	@$(HPSEARCH) show $(TASK) $(or $(TRIAL),best)

compare: $(VENV)/ready ## what sets trials apart, and what it did: TASK=fashion TRIALS="17 23"
	@$(HPSEARCH) compare $(TASK) $(TRIALS)

plan: $(VENV)/ready ## what a search would try and take: TASK=fashion BUDGET=30m
	@$(HPSEARCH) plan $(TASK) $(OPTIONS)

doctor: $(VENV)/ready ## check the machine, data, storage and MLflow, and mend what can be
	@$(HPSEARCH) doctor

# With the task that was asked for, not with the one that others take by default.
dashboard: $(VENV)/ready ## Optuna's dashboard on all studies, or on the last one of TASK
	@$(HPSEARCH) dashboard $(if $(filter file,$(origin TASK)),,$(TASK))

ui: $(VENV)/ready ## the MLflow UI on this machine
	@$(HPSEARCH) ui

check: $(VENV)/ready ## style, types and import order
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/ready ## rewrite the code in our style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

test: $(VENV)/ready ## all tests, with real searches on real data
	$(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

bench: $(VENV)/bench ## compare with model.fit and other tools, hours; QUICK=1 for minutes
	$(VENV)/bin/python -m benchmarks $(if $(QUICK),--quick)

$(VENV)/bench: benchmarks/requirements.lock $(VENV)/ready
	@echo "Adding the tools that we compare with to $(VENV)/."
	$(VENV)/bin/python -m pip install --quiet --require-hashes -r benchmarks/requirements.lock
	@touch $@

lock: ## pin and hash all dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--extra dev --quiet -o requirements.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--extra dev --extra bench --constraint requirements.lock --quiet \
		-o benchmarks/requirements.lock pyproject.toml

clean: ## remove the virtual environment and caches; mlruns/ and exports/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
