# Spikeline: neural recordings to tables, every step a file.
#
#   snakemake --cores 8 --resources gpu=1 -- results/ablation_regions.tsv
#
# Config says what things are (config/README.md), rules/ what is made from what, src/spikeline/
# what each step does.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/common.smk"
include: "rules/environments.smk"
include: "rules/twins.smk"
include: "rules/sources.smk"
include: "rules/responses.smk"
include: "rules/embeddings.smk"
include: "rules/extractors.smk"
include: "rules/pretraining.smk"
include: "rules/decoders.smk"
include: "rules/generators.smk"
include: "rules/reconstructions.smk"
include: "rules/sessions.smk"
include: "rules/units.smk"
include: "rules/forecasters.smk"
include: "rules/wheel.smk"
include: "rules/tables.smk"
include: "rules/pages.smk"


report: "workflow/report/workflow.rst"


localrules:
    all_tables,
    bridge,
    reconstruction,
    horizon,
    validations,
    overview,


rule all_tables:
    """Make the tables that the config names, or all."""
    default_target: True
    input:
        asks(lambda: PLAN.ablations.tables("bridge")),
        asks(lambda: PLAN.ablations.tables("reconstruction")),
        asks(lambda: PLAN.ablations.tables("horizon")),


rule bridge:
    """Make the Bridge's tables of retrieval."""
    input:
        asks(lambda: PLAN.ablations.tables("bridge")),


rule reconstruction:
    """Make the Bridge's tables of images given back."""
    input:
        asks(lambda: PLAN.ablations.tables("reconstruction")),


rule horizon:
    """Make the Horizon's tables."""
    input:
        asks(lambda: PLAN.ablations.tables("horizon")),


rule validations:
    """Check every session of the config; --keep-going tells all that fail."""
    input:
        expand("results/validations/{session}.json", session=PLAN.config["sessions"]),


rule overview:
    """Make a page of each table that the config names, or all, the first page and a crate."""
    input:
        "results/overview.html",
        "results/run.crate.zip",
        asks(PLAN.overview.pages),


include: "workflow/placement.smk"


onstart:
    shell("spikeline sweep results resources || true")
    watch_waiting_jobs()


onerror:
    shell(f"spikeline failures {braced(log[0])} --output logs/failures.tsv || true")
