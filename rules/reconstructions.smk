# Responses to images.
#
# CONSUMES  results/responses/{subject}.h5 or results/windows/{windows}/{subject}.h5
#           results/embeddings/{encoder}/{stimuli}.h5, results/latents/{autoencoder}/{stimuli}.h5
#           results/prompts/{generator}/{stimuli}.h5           of kind adapter
#           resources/generators/{generator}/, resources/stimuli/{stimuli}.zip
#           resources/factors/{stimuli}.tsv                    where responses are read for factors
#           results/decoders/{model}/{subject}/seed{seed}.safetensors   where a decoder predicts
# PRODUCES  results/reconstructors/{model}/{subject}/seed{seed}.safetensors   what is predicted, how
#                                                                          it is drawn
#           results/reconstructors/{model}/{subject}/seed{seed}.tsv           what was tried for that
#           results/reconstructors/{model}/{subject}/seed{seed}.adapter.safetensors   of kind adapter
#           results/reconstructions/{model}/{subject}/seed{seed}.h5           images of the test


rule fit_reconstructor:
    """Fit what a reconstructor predicts, and choose how it draws on validation images."""
    input:
        responses=asks(PLAN.reconstructions.responses),
        stimuli=asks(PLAN.reconstructions.stimuli),
        embeddings=asks(PLAN.reconstructions.embeddings),
        latents=asks(PLAN.reconstructions.latents),
        generator=asks(PLAN.reconstructions.generator),
        autoencoder=asks(PLAN.reconstructions.autoencoder_made),
        ip_adapter=asks(PLAN.reconstructions.ip_adapter),
        decoder=asks(PLAN.reconstructions.decoder),
        choosing_decoder=asks(PLAN.reconstructions.choosing_decoder),
        factors=asks(PLAN.reconstructions.factors),
        weights=asks(PLAN.reconstructions.weights),
    output:
        reconstructor="results/reconstructors/{model}/{subject}/seed{seed}.safetensors",
        candidates="results/reconstructors/{model}/{subject}/seed{seed}.tsv",
    log:
        "logs/fit_reconstructor/{model}/{subject}/seed{seed}.log",
    benchmark:
        "logs/fit_reconstructor/{model}/{subject}/seed{seed}.tsv"
    wildcard_constraints:
        model=PLAN.models(*reconstructions.FITTED),
    threads: 1
    resources:
        gpu=asks(PLAN.reconstructions.gpu),
        mem=scaled(8),
        runtime=minutes(120),
    params:
        settings=asks(PLAN.reconstructions.settings),
        files=asks(PLAN.reconstructions.file_arguments),
        choosing=asks(PLAN.reconstructions.choosing_arguments),
        judge=asks(PLAN.reconstructions.judge_arguments),
        device=asks(PLAN.reconstructions.device_arguments),
        code=code("fit-reconstructor"),
    shell:
        "spikeline fit-reconstructor --responses {input.responses:q} --stimuli {input.stimuli:q}"
        " --embeddings {input.embeddings:q} --latents {input.latents:q}"
        " {params.files:q} {params.choosing:q} {params.judge:q} {params.device:q}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --output {output.reconstructor:q} --candidates {output.candidates:q} 2> {log:q}"


rule train_adapter:
    """Train what tells a generator of text a decoded embedding; killed, it continues."""
    input:
        responses=asks(PLAN.reconstructions.responses),
        stimuli=asks(PLAN.reconstructions.stimuli),
        embeddings=asks(PLAN.reconstructions.embeddings),
        latents=asks(PLAN.reconstructions.latents),
        prompts=asks(PLAN.reconstructions.prompts),
        generator=asks(PLAN.reconstructions.generator),
        autoencoder=asks(PLAN.reconstructions.autoencoder_made),
        weights=asks(PLAN.reconstructions.weights),
    output:
        reconstructor="results/reconstructors/{model}/{subject}/seed{seed}.safetensors",
        adapter="results/reconstructors/{model}/{subject}/seed{seed}.adapter.safetensors",
        candidates="results/reconstructors/{model}/{subject}/seed{seed}.tsv",
        history="results/reconstructors/{model}/{subject}/seed{seed}.history.tsv",
    log:
        "logs/train_adapter/{model}/{subject}/seed{seed}.log",
    benchmark:
        "logs/train_adapter/{model}/{subject}/seed{seed}.tsv"
    wildcard_constraints:
        model=PLAN.models(*reconstructions.TRAINED),
    priority: LONG
    threads: asks(PLAN.reconstructions.threads)
    resources:
        gpu=asks(PLAN.reconstructions.gpu),
        mem=scaled(8),
        runtime=minutes(240),
        state_interval_s=20,
    params:
        settings=asks(PLAN.reconstructions.settings),
        files=asks(PLAN.reconstructions.file_arguments),
        judge=asks(PLAN.reconstructions.judge_arguments),
        device=asks(PLAN.reconstructions.device_arguments),
        code=code("train-adapter"),
    shell:
        "spikeline train-adapter --responses {input.responses:q} --stimuli {input.stimuli:q}"
        " --embeddings {input.embeddings:q} --latents {input.latents:q}"
        " --prompts {input.prompts:q} {params.files:q} {params.judge:q} {params.device:q}"
        " --settings {params.settings:q} --seed {wildcards.seed} --states results/.states"
        " --state-interval {resources.state_interval_s}"
        " --output {output.reconstructor:q} --adapter {output.adapter:q}"
        " --candidates {output.candidates:q} --history {output.history:q} 2> {log:q}"


rule reconstruct:
    """Draw the test images of one seed."""
    input:
        reconstructor=asks(PLAN.reconstructions.fitted),
        responses=asks(PLAN.reconstructions.responses),
        stimuli=asks(PLAN.reconstructions.stimuli),
        embeddings=asks(PLAN.reconstructions.embeddings),
        latents=asks(PLAN.reconstructions.latents),
        generator=asks(PLAN.reconstructions.generator),
        autoencoder=asks(PLAN.reconstructions.autoencoder_made),
        ip_adapter=asks(PLAN.reconstructions.ip_adapter),
        adapter=asks(PLAN.reconstructions.adapter),
        decoder=asks(PLAN.reconstructions.decoder),
        factors=asks(PLAN.reconstructions.factors),
        weights=asks(PLAN.reconstructions.weights),
    output:
        "results/reconstructions/{model}/{subject}/seed{seed}.h5",
    log:
        "logs/reconstruct/{model}/{subject}/seed{seed}.log",
    benchmark:
        "logs/reconstruct/{model}/{subject}/seed{seed}.tsv"
    wildcard_constraints:
        model=PLAN.models(*reconstructions.FITTED, *reconstructions.TRAINED),
    threads: 1
    resources:
        gpu=asks(PLAN.reconstructions.gpu),
        mem=scaled(8),
        runtime=minutes(120),
    params:
        settings=asks(PLAN.reconstructions.drawing_settings),
        files=asks(PLAN.reconstructions.file_arguments),
        adapter=asks(PLAN.reconstructions.adapter_arguments),
        judge=asks(PLAN.reconstructions.judge_arguments),
        device=asks(PLAN.reconstructions.device_arguments),
        code=code("reconstruct"),
    shell:
        "spikeline reconstruct --reconstructor {input.reconstructor:q}"
        " --responses {input.responses:q} --stimuli {input.stimuli:q}"
        " --embeddings {input.embeddings:q} --latents {input.latents:q}"
        " {params.files:q} {params.adapter:q} {params.judge:q} {params.device:q}"
        " --settings {params.settings:q} --seed {wildcards.seed} --output {output:q} 2> {log:q}"


rule score_reconstructions:
    """Score the reconstructions of all seeds, next to those from other responses."""
    input:
        reconstructions=asks(PLAN.reconstructions.files),
        stimuli=asks(PLAN.sources.subject_stimuli),
        extractors=asks(PLAN.extractors.weights),
        factors=asks(PLAN.extractors.factors),
    output:
        "results/reconstruction_scores/{model}/{subject}.json",
    log:
        "logs/score_reconstructions/{model}/{subject}.log",
    wildcard_constraints:
        model=PLAN.models(*reconstructions.FITTED, *reconstructions.TRAINED),
    threads: 1
    resources:
        mem=scaled(4),
        runtime=minutes(60),
    params:
        seeds=asks(PLAN.reconstructions.seeds),
        extractors=asks(PLAN.extractors.arguments),
        factors=asks(lambda subject: flag("--factors", PLAN.extractors.factors(subject))),
        settings=PLAN.extractors.scoring_settings(),
        code=code("score-reconstructions"),
    shell:
        "spikeline score-reconstructions --reconstructions {input.reconstructions:q}"
        " --stimuli {input.stimuli:q} {params.extractors:q} {params.factors:q} --seeds {params.seeds}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"
