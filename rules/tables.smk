# Evaluations to tables and figures.
#
# CONSUMES  results/evaluations/{model}/{subject}.json of every condition (config: ablations)
#           results/forecasts/{model}.json, results/baselines/{session}.json
# PRODUCES  results/ablation_{ablation}.tsv, .png; of the Bridge .categories.tsv too


rule tabulate:
    """Collect an ablation's grid into a table with intervals, and draw it."""
    input:
        evaluations=evaluations_of,
    output:
        table=report(
            "results/ablation_{ablation}.tsv",
            caption="../workflow/report/ablation.rst",
            category="Bridge",
            labels={"ablation": "{ablation}", "what": "table"},
        ),
        categories="results/ablation_{ablation}.categories.tsv",
        figure=report(
            "results/ablation_{ablation}.png",
            caption="../workflow/report/ablation.rst",
            category="Bridge",
            labels={"ablation": "{ablation}", "what": "figure"},
        ),
    log:
        "logs/tabulate/{ablation}.log",
    wildcard_constraints:
        ablation=ablations_of("bridge"),
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        conditions=lambda wildcards: as_settings(ablation_conditions(wildcards.ablation)),
        title=lambda wildcards: option("--title", entry("ablations", wildcards.ablation)["title"]),
        seeds=lambda wildcards: entry("ablations", wildcards.ablation)["seeds"],
        code=code("tabulate"),
    shell:
        "spikeline tabulate --evaluations {input.evaluations:q}"
        " --conditions {params.conditions:q} --seeds {params.seeds} {params.title}"
        " --output {output.table:q} --categories {output.categories:q}"
        " --figure {output.figure:q} 2> {log:q}"


rule tabulate_forecasts:
    """Collect an ablation of forecasters beside the baselines of the same sessions; draw it."""
    input:
        forecasts=forecasts_of,
        baselines=baselines_of,
    output:
        table=report(
            "results/ablation_{ablation}.tsv",
            caption="../workflow/report/forecasts.rst",
            category="Horizon",
            labels={"ablation": "{ablation}", "what": "table"},
        ),
        figure=report(
            "results/ablation_{ablation}.png",
            caption="../workflow/report/forecasts.rst",
            category="Horizon",
            labels={"ablation": "{ablation}", "what": "figure"},
        ),
    log:
        "logs/tabulate_forecasts/{ablation}.log",
    wildcard_constraints:
        ablation=ablations_of("horizon"),
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        conditions=lambda wildcards: as_settings(ablation_conditions(wildcards.ablation)),
        title=lambda wildcards: option("--title", entry("ablations", wildcards.ablation)["title"]),
        rows=lambda wildcards: entry("ablations", wildcards.ablation)["rows"],
        seeds=lambda wildcards: entry("ablations", wildcards.ablation)["seeds"],
        code=code("tabulate-forecasts"),
    shell:
        "spikeline tabulate-forecasts --forecasts {input.forecasts:q}"
        " --baselines {input.baselines:q} --conditions {params.conditions:q}"
        " --rows {params.rows} --seeds {params.seeds} {params.title}"
        " --output {output.table:q} --figure {output.figure:q} 2> {log:q}"
