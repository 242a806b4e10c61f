# Responses and embeddings to decoders, decoders to evaluations.
#
# CONSUMES  results/responses/{subject}.h5 or results/windows/{windows}/{subject}.h5
#           results/embeddings/{encoder}/{stimuli}.h5
#           resources/categories/{stimuli}.tsv or a file of your own, where categories are known
#           results/pretrained/{model}/{subject}/seed{seed}.safetensors, where a decoder starts from it
# PRODUCES  results/decoders/{model}/{subject}/seed{seed}.safetensors   a fitted decoder
#           results/decoders/{model}/{subject}/seed{seed}.tsv           its training history,
#                                                                      or the candidates of `auto`
#           results/evaluations/{model}/{subject}.json                  ranks of every test image
# A model's kind says which rule makes it: closed form, gradient descent, a mean
# of others, or a mix of candidates that one job fits.


rule fit:
    """Fit a closed-form decoder; it needs no GPU."""
    input:
        responses=asks(PLAN.decoders.responses),
        embeddings=asks(PLAN.decoders.embeddings),
    output:
        decoder="results/decoders/{model}/{subject}/seed{seed}.safetensors",
    log:
        "logs/fit/{model}/{subject}/seed{seed}.log",
    benchmark:
        "logs/fit/{model}/{subject}/seed{seed}.tsv"
    wildcard_constraints:
        model=PLAN.closed_forms,
    threads: 1
    resources:
        mem=scaled(asks(lambda model: PLAN.decoders.gigabytes(model, 4))),
        runtime=minutes(30),
    params:
        settings=asks(PLAN.decoders.training_settings),
        code=code("fit"),
    shell:
        "spikeline fit --responses {input.responses:q} --embeddings {input.embeddings:q}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --output {output.decoder:q} 2> {log:q}"


rule train:
    """Train a decoder by gradient descent; killed, it continues from its last state."""
    input:
        responses=asks(PLAN.decoders.responses),
        embeddings=asks(PLAN.decoders.embeddings),
        start=asks(PLAN.decoders.start),
    output:
        decoder="results/decoders/{model}/{subject}/seed{seed}.safetensors",
        history="results/decoders/{model}/{subject}/seed{seed}.tsv",
    log:
        "logs/train/{model}/{subject}/seed{seed}.log",
    benchmark:
        "logs/train/{model}/{subject}/seed{seed}.tsv"
    wildcard_constraints:
        model=PLAN.networks,
    threads: asks(PLAN.devices.threads)
    resources:
        gpu=asks(PLAN.devices.gpu),
        mem=scaled(asks(lambda model: PLAN.decoders.gigabytes(model, 4))),
        runtime=minutes(120),
        state_interval_s=20,
    params:
        settings=asks(PLAN.decoders.training_settings),
        start=asks(PLAN.decoders.start_arguments),
        device=asks(PLAN.devices.arguments),
        code=code("train"),
    shell:
        "spikeline train --responses {input.responses:q} --embeddings {input.embeddings:q}"
        " {params.start:q} {params.device:q} --settings {params.settings:q}"
        " --seed {wildcards.seed} --states results/.states"
        " --state-interval {resources.state_interval_s}"
        " --output {output.decoder:q} --history {output.history:q} 2> {log:q}"


rule fit_auto:
    """Fit candidates, weigh them on validation images, and fit their mix to all training rows."""
    input:
        responses=asks(PLAN.decoders.responses),
        embeddings=asks(PLAN.decoders.embeddings),
    output:
        decoder="results/decoders/{model}/{subject}/seed{seed}.safetensors",
        candidates="results/decoders/{model}/{subject}/seed{seed}.tsv",
    log:
        "logs/fit_auto/{model}/{subject}/seed{seed}.log",
    benchmark:
        "logs/fit_auto/{model}/{subject}/seed{seed}.tsv"
    wildcard_constraints:
        model=PLAN.automatic,
    threads: asks(PLAN.devices.threads)
    resources:
        gpu=asks(PLAN.devices.gpu),
        mem=scaled(asks(lambda model: PLAN.decoders.gigabytes(model, 8))),
        runtime=minutes(asks(PLAN.decoders.minutes)),
        state_interval_s=20,
    params:
        settings=asks(PLAN.decoders.training_settings),
        candidates=asks(PLAN.decoders.candidates),
        device=asks(PLAN.devices.arguments),
        code=code("fit-auto"),
    shell:
        "spikeline fit-auto --responses {input.responses:q} --embeddings {input.embeddings:q}"
        " {params.device:q} --settings {params.settings:q} --candidates {params.candidates:q}"
        " --seed {wildcards.seed} --states results/.states"
        " --state-interval {resources.state_interval_s}"
        " --output {output.decoder:q} --table {output.candidates:q} 2> {log:q}"


rule combine:
    """Join decoders to an ensemble: its similarity is the mean of theirs."""
    input:
        decoders=asks(PLAN.decoders.members),
    output:
        decoder="results/decoders/{model}/{subject}/seed{seed}.safetensors",
    log:
        "logs/combine/{model}/{subject}/seed{seed}.log",
    wildcard_constraints:
        model=PLAN.ensembles,
    resources:
        mem=scaled(2),
        runtime=minutes(10),
    params:
        code=code("combine"),
    shell:
        "spikeline combine --decoders {input.decoders:q} --seed {wildcards.seed}"
        " --output {output.decoder:q} 2> {log:q}"


rule evaluate:
    """Evaluate all seeds of one model on one subject's test images, with controls."""
    input:
        responses=asks(PLAN.decoders.responses),
        embeddings=asks(PLAN.decoders.embeddings),
        decoders=asks(PLAN.decoders.files),
        categories=asks(PLAN.sources.subject_categories),
    output:
        "results/evaluations/{model}/{subject}.json",
    log:
        "logs/evaluate/{model}/{subject}.log",
    threads: 1
    resources:
        mem=scaled(asks(lambda model: PLAN.decoders.gigabytes(model, 4))),
        runtime=minutes(30),
    params:
        settings=asks(PLAN.decoders.evaluation_settings),
        seeds=asks(PLAN.decoders.seeds),
        categories=asks(
            lambda subject: flag("--categories", PLAN.sources.subject_categories(subject))
        ),
        code=code("evaluate"),
    shell:
        "spikeline evaluate --responses {input.responses:q} --embeddings {input.embeddings:q}"
        " --decoders {input.decoders:q} --seeds {params.seeds} --settings {params.settings:q}"
        " {params.categories:q} --output {output:q} 2> {log:q}"
