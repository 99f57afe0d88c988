# Every developer command. `make` is what CI runs.
SHELL := bash
PYTHON ?= python3
VENV := .venv/bin
export PYTHON

.DEFAULT_GOAL := all
.PHONY: all setup demo test test-rust test-python lint format docs bench sim fuzz image images wheels help clean

all: lint test ## Everything CI runs: lint, then all tests

setup: ## Make the virtual environment, install dependencies, build the native extension
	@scripts/setup.sh

demo: setup ## The main job end to end: a cluster, two devices, a process and a container workload
	@$(VENV)/python scripts/demo.py

test: test-rust test-python ## All tests, Rust and Python

test-rust: setup
	cargo test --quiet --locked -p swarmlet-core -p swarmlet-link -p swarmlet-host

test-python: setup
	$(VENV)/python -m pytest -q

lint: setup ## Formatters, linters, types, import contracts, stubs, licences
	@scripts/lint.sh

format: setup ## Format Python and Rust
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .
	cargo fmt --all

docs: setup ## Write the generated documents (operations, errors)
	$(VENV)/python scripts/docs.py

bench: ## Measure, with peers in the same run; writes docs/benchmarks.md
	@SWARMLET_PROFILE=release scripts/setup.sh
	$(VENV)/python -m tests.bench

sim: setup ## Replay one simulation: make sim SEED=123
	$(VENV)/python -m pytest -q tests/sim --seed $(or $(SEED),0)
	SWARMLET_SEED=$(or $(SEED),0) cargo test --quiet --locked -p swarmlet-core --test mesh_sim -- --nocapture

fuzz: ## Fuzz every parser of the native core for some seconds each: make fuzz SECONDS=300 [TARGET=packet]
	@scripts/fuzz.sh $(or $(SECONDS),20) $(TARGET)

image: ## Build the agent's container image for this machine and hold it to its budget
	@scripts/image.sh agent here

images: ## Build every image: the agent for three platforms, the coordinator for two
	@scripts/image.sh agent linux/amd64 linux/arm64 linux/arm/v7
	@scripts/image.sh coordinator linux/amd64 linux/arm64

wheels: ## Build the wheels for six platforms in Docker, with what they need from PyPI, and verify them
	@wheels/make.sh $(PLATFORM)

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

clean: ## Remove everything that was built here
	rm -rf target .venv dist build swarmlet/_native*.so .pytest_cache .mypy_cache .ruff_cache
