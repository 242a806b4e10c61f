# Spikeline: neural recordings to tables, every step a file.
#
#   snakemake --cores 8 --resources gpu=1 -- results/ablation_regions.tsv
#
# Config says what things are (config/README.md), rules/ what is made from what, src/spikeline/
# what each step does.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


include: "workflow/common.smk"
include: "workflow/inputs.smk"
include: "rules/sources.smk"
include: "rules/responses.smk"
include: "rules/embeddings.smk"
include: "rules/decoders.smk"
include: "rules/tables.smk"


report: "workflow/report/workflow.rst"


localrules:
    bridge,


rule bridge:
    """Make the tables that the config names, or all."""
    default_target: True
    input:
        expand(rules.tabulate.output.table, ablation=tables()),
