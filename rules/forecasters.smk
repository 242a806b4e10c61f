# Counts to forecasters, forecasters to scores, with plain baselines.
#
# CONSUMES  results/counts/{session}.h5, results/features/{session}.h5,
#           results/normalisations/{cohort}/{size}_sessions.h5 (features of all training sessions),
#           results/embeddings/...
# PRODUCES  results/baselines/{session}.json                    scores of the plain forecasts
#           results/regressions/{model}/{session}.safetensors   a session's own regression
#           results/forecasters/{model}/seed{seed}.safetensors  a trained network
#           results/forecasters/{model}/seed{seed}.tsv          its training history
#           results/forecasts/{model}.json                      its scores on every session


rule score_baselines:
    """Score the plain forecasts of one session, and the oracle where the truth is known."""
    input:
        counts="results/counts/{session}.h5",
        simulation=asks(PLAN.sources.true_rates),
    output:
        "results/baselines/{session}.json",
    log:
        "logs/score_baselines/{session}.log",
    threads: 1
    resources:
        mem=scaled(8),
        runtime=minutes(240),
    params:
        rates=asks(PLAN.forecasters.rates_arguments),
        settings=PLAN.forecasters.baseline_settings(),
        code=code("score-baselines"),
    shell:
        "spikeline score-baselines --counts {input.counts:q} {params.rates:q}"
        " --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"


rule fit_regression:
    """Fit a session's regression: on its training part, or its reference window if held out."""
    input:
        counts="results/counts/{session}.h5",
    output:
        "results/regressions/{model}/{session}.safetensors",
    log:
        "logs/fit_regression/{model}/{session}.log",
    benchmark:
        "logs/fit_regression/{model}/{session}.tsv"
    wildcard_constraints:
        model=PLAN.models_else("forecaster"),
    threads: 1
    resources:
        mem=scaled(4),
        runtime=minutes(60),
    params:
        settings=asks(PLAN.forecasters.training_settings),
        role=asks(PLAN.forecasters.role),
        code=code("fit-regression"),
    shell:
        "spikeline fit-regression --counts {input.counts:q} --role {params.role}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule train_forecaster:
    """Train a forecaster on its cohort; killed, it continues from its last state."""
    input:
        unpack(asks(PLAN.forecasters.training_inputs)),
    output:
        forecaster="results/forecasters/{model}/seed{seed}.safetensors",
        history="results/forecasters/{model}/seed{seed}.tsv",
    log:
        "logs/train_forecaster/{model}/seed{seed}.log",
    benchmark:
        "logs/train_forecaster/{model}/seed{seed}.tsv"
    threads: asks(PLAN.devices.threads)
    resources:
        gpu=asks(PLAN.devices.gpu),
        mem=scaled(8),
        runtime=minutes(600),
        state_interval_s=20,
    params:
        budget=lambda wildcards, resources: resources.mem_mb // 2,
        device=asks(PLAN.devices.arguments),
        embeddings=lambda wildcards, input: flags("--embeddings", input.get("embeddings")),
        settings=asks(PLAN.forecasters.training_settings),
        code=code("train-forecaster"),
    shell:
        "spikeline train-forecaster --counts {input.counts:q}"
        " --normalisation {input.normalisation:q} {params.embeddings:q}"
        " {params.device:q} --budget-mb {params.budget} --settings {params.settings:q}"
        " --seed {wildcards.seed} --states results/.states"
        " --state-interval {resources.state_interval_s}"
        " --output {output.forecaster:q} --history {output.history:q} 2> {log:q}"


rule evaluate_forecaster:
    """Score a forecaster on test blocks of sessions seen and held out: all seeds, or regressions."""
    input:
        unpack(asks(PLAN.forecasters.evaluation_inputs)),
    output:
        "results/forecasts/{model}.json",
    log:
        "logs/evaluate_forecaster/{model}.log",
    wildcard_constraints:
        model=PLAN.models_else("auto_forecaster"),
    threads: asks(PLAN.devices.threads)
    resources:
        gpu=asks(PLAN.devices.gpu),
        mem=scaled(8),
        runtime=minutes(asks(PLAN.forecasters.minutes)),
    params:
        budget=lambda wildcards, resources: resources.mem_mb // 2,
        device=asks(PLAN.devices.arguments),
        embeddings=lambda wildcards, input: flags("--embeddings", input.get("embeddings")),
        settings=asks(PLAN.forecasters.evaluation_settings),
        features=lambda wildcards, input: flags("--features", input.get("features")),
        seeds=asks(lambda model: flags("--seeds", PLAN.forecasters.seeds(model))),
        roles=asks(PLAN.forecasters.roles),
        cohort=asks(PLAN.forecasters.cohort),
        code=code("evaluate-forecaster"),
    shell:
        "spikeline evaluate-forecaster --forecasters {input.forecasters:q}"
        " {params.seeds:q} --counts {input.counts:q} {params.features:q}"
        " {params.embeddings:q} {params.device:q} --budget-mb {params.budget} --roles {params.roles}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule combine_forecasters:
    """Weigh several forecasters of each session by its valid blocks, and score what they give."""
    input:
        unpack(asks(PLAN.forecasters.combination_inputs)),
    output:
        "results/forecasts/{model}.json",
    log:
        "logs/combine_forecasters/{model}.log",
    wildcard_constraints:
        model=PLAN.models("auto_forecaster"),
    threads: 1
    resources:
        mem=scaled(12),
        runtime=minutes(asks(PLAN.forecasters.combination_minutes)),
    params:
        budget=lambda wildcards, resources: resources.mem_mb // 4,
        embeddings=lambda wildcards, input: flags("--embeddings", input.get("embeddings")),
        features=lambda wildcards, input: flags("--features", input.get("features")),
        forecasters=lambda wildcards, input: flags("--forecasters", input.get("forecasters")),
        candidates=asks(
            lambda model: flags("--candidates", PLAN.forecasters.candidate_names(model))
        ),
        settings=PLAN.forecasters.combination_settings(),
        roles=asks(PLAN.forecasters.roles),
        cohort=asks(PLAN.forecasters.cohort),
        code=code("combine-forecasters"),
    shell:
        "spikeline combine-forecasters {params.forecasters:q} {params.candidates:q}"
        " --counts {input.counts:q} {params.features:q} {params.embeddings:q} --device cpu"
        " --budget-mb {params.budget} --roles {params.roles}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"
