"""From a config to what each job needs: entries, inputs, seeds, conditions. No Snakemake in it."""
