# Client environments: the pinned stacks that conflict with the workflow's own.
#
# CONSUMES  envs/{environment}.txt
# PRODUCES  resources/environments/{environment}/   a Python with the source's own client


localrules:
    build_environment,


rule build_environment:
    """Build the pinned stack of a source's client with uv."""
    input:
        f"{ENVS}/{{environment}}.txt",
    output:
        directory("resources/environments/{environment}"),
    log:
        "logs/build_environment/{environment}.log",
    resources:
        mem=scaled(2),
        runtime=minutes(30),
    shell:
        "(uv venv --quiet --python 3.11 {output:q}"
        " && uv pip sync --quiet --python {output:q}/bin/python {input:q}) 2> {log:q}"
