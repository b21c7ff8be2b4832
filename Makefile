# Everything this repository does, by name. `make` alone lists it.

PYTHON ?= python3
VENV   ?= .venv
BUILD  ?= build
JOBS   ?= $(shell nproc)

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## handwritten digits through the accelerator, every bit compared
	$(BIN)/eie demo -o $(BUILD)/demo

test: $(VENV)/.dev ## all tests, with every simulator that is installed
	$(BIN)/python -m pytest -n $(JOBS)

lint: $(VENV)/.dev ## style and types
	$(BIN)/ruff check
	$(BIN)/mypy

synth-pe: $(VENV)/.dev ## one PE on an ECP5: cells and clock rate
	$(BIN)/python -m eie_sim.synth -o $(BUILD)/synth-pe

doctor: $(VENV)/.dev ## which tools are here, and whether they are good enough
	$(BIN)/eie doctor

train: $(VENV)/.run ## train and compress the digits network anew
	$(BIN)/python examples/digits/train.py

venv: $(VENV)/.dev ## everything that development needs, in .venv

clean: ## remove what was built, .venv excepted
	rm -rf $(BUILD) dist

# Stamps: what a user needs, and on top of it what a developer needs. Redone when the list changes.
$(VENV)/.run: EXTRAS := sim,train
$(VENV)/.dev: EXTRAS := sim,train,synth,test,lint
$(VENV)/.dev: $(VENV)/.run

$(VENV)/.run $(VENV)/.dev: pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/install-packages.sh python3-venv
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	@# cocotb runs Python inside the simulator, from its shared library.
	@test -n "$$($(BIN)/find_libpython)" || scripts/install-packages.sh $$($(BIN)/python -c \
	    'import sys; print("libpython{}.{}".format(*sys.version_info))')
	@touch $@

.PHONY: help demo test lint synth-pe doctor train venv clean
