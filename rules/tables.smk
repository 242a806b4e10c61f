# Evaluations to tables and figures.
#
# CONSUMES  results/evaluations/{model}/{subject}.json of every condition (config: ablations)
#           results/forecasts/{model}.json, results/baselines/{session}.json
# PRODUCES  results/ablation_{ablation}.tsv, .png; .txt: in words; of the Bridge .categories.tsv


rule tabulate:
    """Collect an ablation's grid into a table with intervals, draw it, and say what it shows."""
    input:
        evaluations=asks(PLAN.ablations.evaluations),
    output:
        table=report(
            "results/ablation_{ablation}.tsv",
            caption="../workflow/report/ablation.rst",
            category="Bridge",
            labels={"ablation": "{ablation}", "what": "table"},
        ),
        categories="results/ablation_{ablation}.categories.tsv",
        caption="results/ablation_{ablation}.txt",
        figure=report(
            "results/ablation_{ablation}.png",
            caption="../workflow/report/ablation.rst",
            category="Bridge",
            labels={"ablation": "{ablation}", "what": "figure"},
        ),
    log:
        "logs/tabulate/{ablation}.log",
    wildcard_constraints:
        ablation=PLAN.ablation_names("bridge"),
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        conditions=asks(PLAN.ablations.conditions_setting),
        title=asks(PLAN.ablations.title_arguments),
        seeds=asks(lambda ablation: PLAN.config.entry("ablations", ablation)["seeds"]),
        code=code("tabulate"),
    shell:
        "spikeline tabulate --evaluations {input.evaluations:q}"
        " --conditions {params.conditions:q} --seeds {params.seeds} {params.title:q}"
        " --output {output.table:q} --categories {output.categories:q}"
        " --caption {output.caption:q} --figure {output.figure:q} 2> {log:q}"


rule tabulate_forecasts:
    """Collect an ablation of forecasters with the baselines of the same sessions, draw and say it."""
    input:
        forecasts=asks(PLAN.ablations.forecasts),
        baselines=asks(PLAN.baselines),
    output:
        table=report(
            "results/ablation_{ablation}.tsv",
            caption="../workflow/report/forecasts.rst",
            category="Horizon",
            labels={"ablation": "{ablation}", "what": "table"},
        ),
        caption="results/ablation_{ablation}.txt",
        figure=report(
            "results/ablation_{ablation}.png",
            caption="../workflow/report/forecasts.rst",
            category="Horizon",
            labels={"ablation": "{ablation}", "what": "figure"},
        ),
    log:
        "logs/tabulate_forecasts/{ablation}.log",
    wildcard_constraints:
        ablation=PLAN.ablation_names("horizon"),
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        conditions=asks(PLAN.ablations.conditions_setting),
        title=asks(PLAN.ablations.title_arguments),
        rows=asks(lambda ablation: PLAN.config.entry("ablations", ablation)["rows"]),
        reference=asks(PLAN.ablations.reference_arguments),
        seeds=asks(lambda ablation: PLAN.config.entry("ablations", ablation)["seeds"]),
        code=code("tabulate-forecasts"),
    shell:
        "spikeline tabulate-forecasts --forecasts {input.forecasts:q}"
        " --baselines {input.baselines:q} --conditions {params.conditions:q}"
        " --rows {params.rows} --seeds {params.seeds} {params.title:q}"
        " {params.reference:q} --output {output.table:q}"
        " --caption {output.caption:q} --figure {output.figure:q} 2> {log:q}"


rule tabulate_reconstructions:
    """Collect reconstructions into a table with intervals, a figure, words and galleries."""
    input:
        scores=asks(PLAN.tabulated_scores),
        reconstructions=asks(PLAN.tabulated_reconstructions),
        stimuli=asks(PLAN.tabulated_stimuli),
    output:
        table=report(
            "results/{table}.tsv",
            caption="../workflow/report/reconstruction.rst",
            category="Bridge",
            labels={"ablation": "{table}", "what": "table"},
        ),
        caption="results/{table}.txt",
        figure=report(
            "results/{table}.png",
            caption="../workflow/report/reconstruction.rst",
            category="Bridge",
            labels={"ablation": "{table}", "what": "figure"},
        ),
        gallery=report(
            "results/{table}.gallery.png",
            caption="../workflow/report/reconstruction.rst",
            category="Bridge",
            labels={"ablation": "{table}", "what": "gallery"},
        ),
        pages=directory("results/galleries/{table}"),
    log:
        "logs/tabulate_reconstructions/{table}.log",
    wildcard_constraints:
        table=PLAN.reconstruction_tables,
    resources:
        mem=scaled(2),
        runtime=minutes(30),
    params:
        conditions=asks(
            lambda table: PLAN.ablations.conditions_setting(PLAN.ablations.of_table(table))
        ),
        title=asks(lambda table: PLAN.ablations.title_arguments(PLAN.ablations.of_table(table))),
        code=code("tabulate-reconstructions"),
    shell:
        "spikeline tabulate-reconstructions --scores {input.scores:q}"
        " --reconstructions {input.reconstructions:q} --stimuli {input.stimuli:q}"
        " --conditions {params.conditions:q} {params.title:q}"
        " --output {output.table:q} --caption {output.caption:q} --figure {output.figure:q}"
        " --gallery {output.gallery:q} --pages {output.pages:q} 2> {log:q}"
