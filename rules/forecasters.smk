# Counts to forecasters, forecasters to scores beside honest baselines.
#
# CONSUMES  results/counts/{session}.h5, results/features/{session}.h5,
#           results/normalisations/{cohort}/{size}_sessions.h5, results/embeddings/...
# PRODUCES  results/baselines/{session}.json                    scores of the plain forecasts
#           results/regressions/{model}/{session}.safetensors   a session's own regression
#           results/forecasters/{model}/seed{seed}.safetensors  a trained network
#           results/forecasters/{model}/seed{seed}.tsv          its training history
#           results/forecasts/{model}.json                      its scores on every session


rule score_baselines:
    """Score the plain forecasts of one session, and the oracle where the truth is known."""
    input:
        counts="results/counts/{session}.h5",
        simulation=lambda wildcards: true_rates(wildcards.session),
    output:
        "results/baselines/{session}.json",
    log:
        "logs/score_baselines/{session}.log",
    threads: 1
    resources:
        mem=scaled(8),
        runtime=minutes(240),
    params:
        rates=lambda wildcards, input: (
            option(
                "--rates", input.simulation and f"{input.simulation}/{wildcards.session}.rates.h5"
            )
        ),
        settings=as_settings({"horizons": config["evaluation"]["horizons_ms"]}),
        code=code("score-baselines"),
    shell:
        "spikeline score-baselines --counts {input.counts:q} {params.rates}"
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
        model=models_of("regression"),
    threads: 1
    resources:
        mem=scaled(4),
        runtime=minutes(60),
    params:
        settings=lambda wildcards: training_settings(wildcards.model),
        role=lambda wildcards: session_role(wildcards.model, wildcards.session),
        code=code("fit-regression"),
    shell:
        "spikeline fit-regression --counts {input.counts:q} --role {params.role}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule train_forecaster:
    """Train a forecaster on its cohort; killed, it continues from its last state."""
    input:
        unpack(training_inputs),
    output:
        forecaster="results/forecasters/{model}/seed{seed}.safetensors",
        history="results/forecasters/{model}/seed{seed}.tsv",
    log:
        "logs/train_forecaster/{model}/seed{seed}.log",
    benchmark:
        "logs/train_forecaster/{model}/seed{seed}.tsv"
    wildcard_constraints:
        model=models_of("forecaster"),
    threads: forecaster_threads
    resources:
        gpu=forecaster_gpu,
        mem=scaled(8),
        runtime=minutes(600),
        state_interval_s=20,
    params:
        budget=lambda wildcards, resources: resources.mem_mb // 2,
        device=lambda wildcards: option("--device", forecaster_gpu(wildcards) == 0 and "cpu"),
        embeddings=lambda wildcards, input: list_option("--embeddings", input.get("embeddings")),
        settings=lambda wildcards: training_settings(wildcards.model),
        code=code("train-forecaster"),
    shell:
        "spikeline train-forecaster --counts {input.counts:q} --features {input.features:q}"
        " --normalisation {input.normalisation:q} {params.embeddings}"
        " {params.device} --budget-mb {params.budget} --settings {params.settings:q} --seed {wildcards.seed} --states results/.states"
        " --state-interval {resources.state_interval_s}"
        " --output {output.forecaster:q} --history {output.history:q} 2> {log:q}"


rule evaluate_forecaster:
    """Score a forecaster on test blocks of sessions seen and held out: all seeds, or regressions."""
    input:
        unpack(forecast_inputs),
    output:
        "results/forecasts/{model}.json",
    log:
        "logs/evaluate_forecaster/{model}.log",
    wildcard_constraints:
        model=models_of(*FORECASTERS),
    threads: forecaster_threads
    resources:
        gpu=forecaster_gpu,
        mem=scaled(8),
        runtime=forecast_minutes,
    params:
        budget=lambda wildcards, resources: resources.mem_mb // 2,
        device=lambda wildcards: option("--device", forecaster_gpu(wildcards) == 0 and "cpu"),
        embeddings=lambda wildcards, input: list_option("--embeddings", input.get("embeddings")),
        settings=lambda wildcards: forecast_settings(wildcards.model),
        features=lambda wildcards, input: list_option("--features", input.get("features")),
        seeds=lambda wildcards: list_option("--seeds", forecast_seeds(wildcards)),
        roles=forecast_roles,
        cohort=forecast_cohort,
        code=code("evaluate-forecaster"),
    shell:
        "spikeline evaluate-forecaster --forecasters {input.forecasters:q}"
        " {params.seeds} --counts {input.counts:q} {params.features}"
        " {params.embeddings} {params.device} --budget-mb {params.budget} --roles {params.roles}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"
