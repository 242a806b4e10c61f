# Tables to what people look at.
#
# CONSUMES  the tables of the config with their figures; results/sessions/{session}.h5
# PRODUCES  results/pages/{table}.html    sortable rows, figure, curves, galleries, cost, origins
#           results/summary.tsv           a row for each table
#           results/sessions.tsv          what each session of the config holds
#           results/reported.tsv          what others reported, ours beside it
#           results/overview.html         the first page; overview.front.html: without style
#           results/run.crate.zip         RO-Crate: tables, and every step behind them


rule write_page:
    """Write a table's page, which needs no other file and no network."""
    input:
        table="results/{table}.tsv",
        figure="results/{table}.png",
        caption=asks(PLAN.overview.captions),
        gallery=asks(PLAN.overview.galleries),
    output:
        report(
            "results/pages/{table}.html",
            caption="../workflow/report/page.rst",
            category=asks(PLAN.overview.category),
            labels=asks(PLAN.overview.labels),
        ),
    log:
        "logs/write_page/{table}.log",
    wildcard_constraints:
        table=PLAN.overview.known,
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        caption=asks(PLAN.overview.caption_arguments),
        gallery=asks(PLAN.overview.gallery_arguments),
        measured=asks(measured),
        code=code("write-page"),
    shell:
        "spikeline write-page --table {input.table:q} --figure {input.figure:q}"
        " {params.caption:q} {params.gallery:q} --measured {params.measured:q}"
        " --output {output:q} 2> {log:q}"


rule summarise:
    """Summarise the tables of the config, a row for each."""
    input:
        asks(PLAN.overview.tables),
    output:
        report(
            "results/summary.tsv",
            caption="../workflow/report/summary.rst",
            category="Overview",
            labels={"ablation": "all", "what": "summary"},
        ),
    log:
        "logs/summarise.log",
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        code=code("summarise"),
    shell:
        "spikeline summarise --tables {input:q} --output {output:q} 2> {log:q}"


rule list_sessions:
    """List what each session of the config holds."""
    input:
        asks(PLAN.overview.sessions),
    output:
        report(
            "results/sessions.tsv",
            caption="../workflow/report/sessions.rst",
            category="Overview",
            labels={"ablation": "all", "what": "sessions"},
        ),
    log:
        "logs/list_sessions.log",
    resources:
        mem=scaled(4),
        runtime=minutes(30),
    params:
        code=code("list-sessions"),
    shell:
        "spikeline list-sessions --sessions {input:q} --output {output:q} 2> {log:q}"


rule compare_reported:
    """Set what others reported beside our figures of the same data."""
    input:
        asks(lambda: [*PLAN.overview.tables(), *PLAN.overview.listed_sessions()]),
    output:
        report(
            "results/reported.tsv",
            caption="../workflow/report/reported.rst",
            category="Overview",
            labels={"ablation": "all", "what": "reported"},
        ),
    log:
        "logs/compare_reported.log",
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        code=code("compare-reported"),
    shell:
        "spikeline compare-reported --tables {input:q} --output {output:q} 2> {log:q}"


rule write_overview:
    """Write the first page: what was run on which data, and what each table showed."""
    input:
        summary="results/summary.tsv",
        tables=asks(PLAN.overview.tables),
        sessions=asks(PLAN.overview.listed_sessions),
        reported="results/reported.tsv",
    output:
        page=report(
            "results/overview.html",
            caption="../workflow/report/overview.rst",
            category="Overview",
            labels={"ablation": "all", "what": "page"},
        ),
        front="results/overview.front.html",
    log:
        "logs/write_overview.log",
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        sessions=asks(PLAN.overview.sessions_arguments),
        measured=asks(measured),
        code=code("write-overview"),
    shell:
        "spikeline write-overview --summary {input.summary:q} --tables {input.tables:q}"
        " {params.sessions:q} --reported {input.reported:q} --measured {params.measured:q}"
        " --front {output.front:q} --output {output.page:q} 2> {log:q}"


rule describe_run:
    """Describe every step behind the tables as a Process Run Crate, which holds them."""
    input:
        asks(PLAN.overview.described),
    output:
        "results/run.crate.zip",
    log:
        "logs/describe_run.log",
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        code=code("describe-run"),
    shell:
        "spikeline describe-run --files {input:q} --output {output:q} 2> {log:q}"
