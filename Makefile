# One verb a line; `make` alone lists them. Two are the README's: `make demo` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV ?= .venv
PYTHON := $(VENV)/bin/python

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

env: $(VENV)/.ready ## make the environment that everything below runs in

$(VENV)/.ready: pyproject.toml constraints.txt scripts/environment
	@scripts/environment $(VENV)
	@touch $@

demo: env ## the main job: train, deploy to a cloud on this machine, predict, update under load, delete; on Kubernetes too where one is at hand
	@$(PYTHON) scripts/demo

test: env ## everything that must pass: style, types, layers, unit, simulation, conformance, e2e
	@scripts/test all

check: env ## style, types, layers, generated text
	@scripts/test check

unit: env ## fast, pure tests
	@scripts/test unit

simulation: env ## the engine and the planner under every fault
	@scripts/test simulation

conformance: env ## the target contract, every target
	@scripts/test conformance

conformance-full: env ## the same whole: every suite's every promise, clients killed at every step (an hour and more)
	@scripts/test conformance-full

e2e: env ## real docker, registry, MLflow server, over sockets
	@scripts/test e2e

bench: env ## figures, side by side with the named peers
	@scripts/test bench

dist: env ## build wheel and sdist into dist/, check them and try them
	@scripts/distribution $(VENV)

site: env ## the documentation as a site, in build/site
	@$(VENV)/bin/mkdocs --quiet build

test-flavors: env ## models of flavors whose libraries weigh gigabytes (torch, tensorflow, spark, ...): not part of CI
	@nice -n 15 $(PYTHON) -m tests.flavors.heavy

test-sagemaker-live: env ## the conformance suite against your AWS account; says first what it may cost
	@$(PYTHON) scripts/conformance_live

test-azureml-live: env ## the conformance suite in your Azure ML workspace; says first what it may cost
	@$(PYTHON) scripts/conformance_live_azureml

test-kubernetes: env ## the conformance suite on any cluster: KUBE_CONTEXT=NAME DEPLOYER_IMAGE_REPOSITORY=HOST/PATH; says first what it makes
	@scripts/test kubernetes

format: env ## let ruff put the code in order
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

clean: ## remove the environment and caches of this checkout
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help env demo test check unit simulation conformance conformance-full e2e bench dist site test-flavors test-sagemaker-live test-azureml-live test-kubernetes format clean
