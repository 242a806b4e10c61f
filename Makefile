# `make demo`, `make test` and `make report`. Each first builds .venv from envs/workflow.txt.
PYTHON ?= python3
UV_VERSION := 0.13.8

BIN := .venv/bin
STAMP := .venv/.built-from
REGIONS := results/ablation_regions
# Tables of the report: those that were made, or else the demo's. `make report TABLES="loss data"`
MADE := $(patsubst results/ablation_%.png,%,$(filter-out %.gallery.png,$(wildcard results/ablation_*.png))) \
  $(patsubst results/%.png,%,$(wildcard results/reconstruction.png results/poyo_wheel.png))
TABLES ?= $(or $(strip $(MADE)),regions)
# report.zip keeps pictures as files of their own: for many tables.
REPORT ?= report.html
# The config that made them, where it is not the demo's.
CONFIGFILE ?=

.PHONY: demo report test lint docs pins help

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

demo: $(STAMP)  ## the regions ablation on the embedded demo: a table and a figure
	$(BIN)/snakemake --cores all --resources gpu=1 -- $(REGIONS).tsv
	@$(BIN)/spikeline show --contents $(REGIONS).tsv
	@$(BIN)/spikeline show --contents $(REGIONS).txt
	@echo "table  $(REGIONS).tsv"
	@echo "figure $(REGIONS).png"

COMMA := ,
EMPTY :=
ASKED = $(if $(CONFIGFILE),--configfile $(CONFIGFILE)) \
  --config 'tables=["$(subst $(EMPTY) ,"$(COMMA)",$(strip $(TABLES)))"]'

report: $(STAMP)  ## one HTML file of the tables that were made, or of the demo's
	$(BIN)/snakemake --cores all --resources gpu=1 $(ASKED) -- overview
	$(BIN)/snakemake --report $(REPORT) $(ASKED) -- overview
	@echo "report $(REPORT)"

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
