# Sessions to what forecasters read: a description of each unit, and its spike counts.
#
# CONSUMES  results/sessions/{session}.h5, results/validations/{session}.json
# PRODUCES  results/features/{session}.h5                       33 features of each unit
#           results/normalisations/{cohort}/{size}_sessions.h5 those of training sessions, their scale
#           results/counts/{session}.h5                         spike counts in bins, whole session


rule reference_features:
    """Describe each unit by its spikes in the reference window."""
    input:
        session="results/sessions/{session}.h5",
        verdict="results/validations/{session}.json",
    output:
        "results/features/{session}.h5",
    log:
        "logs/reference_features/{session}.log",
    resources:
        mem=scaled(2),
        runtime=minutes(15),
    params:
        code=code("reference-features"),
    shell:
        "spikeline reference-features --session {input.session:q} --output {output:q} 2> {log:q}"


rule normalise_features:
    """Gather the features of training sessions, and fit their scale."""
    input:
        asks(PLAN.forecasters.features),
    output:
        "results/normalisations/{cohort}/{size}_sessions.h5",
    log:
        "logs/normalise_features/{cohort}/{size}_sessions.log",
    wildcard_constraints:
        size=r"\d+",
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        code=code("normalise-features"),
    shell:
        "spikeline normalise-features --features {input:q} --output {output:q} 2> {log:q}"


rule bin_spikes:
    """Count spikes in bins, with behaviour and images in step."""
    input:
        session="results/sessions/{session}.h5",
        verdict="results/validations/{session}.json",
    output:
        "results/counts/{session}.h5",
    log:
        "logs/bin_spikes/{session}.log",
    resources:
        mem=scaled(4),
        runtime=minutes(15),
    params:
        code=code("bin-spikes"),
    shell:
        "spikeline bin-spikes --session {input.session:q} --output {output:q} 2> {log:q}"
