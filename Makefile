# Two commands: `make demo` and `make test`. Each first builds .venv from envs/workflow.txt.
PYTHON ?= python3
UV_VERSION := 0.13.8

BIN := .venv/bin
STAMP := .venv/.built-from
REGIONS := results/ablation_regions

.PHONY: demo test lint docs pins help

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

demo: $(STAMP)  ## the regions ablation on the embedded demo: a table and a figure
	$(BIN)/snakemake --cores all --resources gpu=1 -- $(REGIONS).tsv
	@$(BIN)/spikeline show --contents $(REGIONS).tsv
	@$(BIN)/spikeline show --contents $(REGIONS).txt
	@echo "table  $(REGIONS).tsv"
	@echo "figure $(REGIONS).png"

test: $(STAMP)  ## the whole test suite
	$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder

lint: $(STAMP)  ## style of the Python and of the rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules workflow

docs: $(STAMP)  ## docs/artifacts.md from the contracts
	$(BIN)/python docs/artifacts.py > docs/artifacts.md.new
	mv docs/artifacts.md.new docs/artifacts.md

RESOLVE = $(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-header \
  --no-annotate

pins: $(STAMP)  ## resolve envs/*.in anew
	$(RESOLVE) --override envs/overrides.txt envs/workflow.in --output-file envs/workflow.txt
	$(RESOLVE) envs/ibl.in --output-file envs/ibl.txt
	$(RESOLVE) envs/allen.in --output-file envs/allen.txt

# Built anew when a pin changes. The stamp is the pin file itself, so that a fresh checkout's
# time stamps mean nothing. Bytecode is written now: containers often forbid it later, and each of
# hundreds of jobs would compile torch anew.
ifneq ($(shell cmp -s envs/workflow.txt $(STAMP) && echo same),same)
.PHONY: $(STAMP)
endif
$(STAMP):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python envs/workflow.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	cp envs/workflow.txt $(STAMP)
