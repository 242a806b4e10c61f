# Images to embeddings.
#
# CONSUMES  resources/stimuli/{stimuli}.zip, resources/captions/{stimuli}.tsv,
#           or precomputed embeddings (config: encoders, kind precomputed)
#           results/responses/{subject}.h5                 which images train and which test
# PRODUCES  resources/encoders/{encoder}/                  a tiny CLIP trained on the twin's images
#           resources/weights/{encoder}/                   downloaded weights of an image encoder
#           results/embeddings/{encoder}/{stimuli}.h5      a vector for each image, or one per layer
#           results/targets/{encoder}/{subject}.h5         layers cut to principal components


localrules:
    fetch_weights,


rule fetch_weights:
    """Download an image encoder, where there is a network."""
    output:
        directory("resources/weights/{encoder}"),
    log:
        "logs/fetch_weights/{encoder}.log",
    wildcard_constraints:
        encoder=PLAN.named("encoders", "open_clip", "timm"),
    cache: "omit-software"
    resources:
        mem=scaled(8),
        runtime=minutes(120),
    params:
        settings=asks(lambda encoder: PLAN.sources.settings("fetch-weights", "encoders", encoder)),
    shell:
        "spikeline fetch-weights --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule train_clip:
    """Train the demo's image encoder on captioned images."""
    input:
        stimuli=asks(PLAN.sources.training_stimuli),
        captions=asks(PLAN.sources.training_captions),
    output:
        directory("resources/encoders/{encoder}"),
    log:
        "logs/train_clip/{encoder}.log",
    benchmark:
        "logs/train_clip/{encoder}.tsv"
    wildcard_constraints:
        encoder=PLAN.named("encoders", "demo_clip"),
    priority: LONG
    threads: asks(lambda encoder: PLAN.devices.threads_of("encoders", encoder))
    resources:
        gpu=asks(lambda encoder: PLAN.devices.gpu_of("encoders", encoder)),
        mem=scaled(4),
        runtime=minutes(20),
    params:
        device=asks(lambda encoder: PLAN.devices.arguments_of("encoders", encoder)),
        settings=asks(PLAN.sources.clip_settings),
        code=code("train-clip"),
    shell:
        "spikeline train-clip --images {input.stimuli:q} --captions {input.captions:q}"
        " {params.device:q} --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule embed:
    """Embed every image of a stimulus set."""
    input:
        stimuli="resources/stimuli/{stimuli}.zip",
        weights=asks(PLAN.sources.local_weights),
        cache=asks(PLAN.sources.downloaded_weights),
    output:
        "results/embeddings/{encoder}/{stimuli}.h5",
    log:
        "logs/embed/{encoder}/{stimuli}.log",
    wildcard_constraints:
        encoder=PLAN.named_else("encoders", "precomputed"),
    cache: "omit-software"
    priority: BEFORE_LONG
    threads: asks(lambda encoder: PLAN.devices.threads_of("encoders", encoder, beside=4))
    resources:
        gpu=asks(lambda encoder: PLAN.devices.gpu_of("encoders", encoder)),
        mem=scaled(8),
        runtime=minutes(60),
    params:
        encoder="{encoder}",
        device=asks(lambda encoder: PLAN.devices.arguments_of("encoders", encoder)),
        settings=asks(lambda encoder: PLAN.sources.settings("embed", "encoders", encoder)),
        weights=asks(PLAN.sources.weights_arguments),
        code=code("embed"),
    shell:
        "spikeline embed --stimuli {input.stimuli:q} {params.weights:q}"
        " {params.device:q} --encoder {params.encoder:q} --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"


rule import_embeddings:
    """Take embeddings that were computed elsewhere."""
    input:
        values=asks(PLAN.sources.precomputed),
        images=asks(PLAN.sources.precomputed_images),
        stimuli="resources/stimuli/{stimuli}.zip",
    output:
        "results/embeddings/{encoder}/{stimuli}.h5",
    log:
        "logs/import_embeddings/{encoder}/{stimuli}.log",
    wildcard_constraints:
        encoder=PLAN.named("encoders", "precomputed"),
    cache: "omit-software"
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        encoder="{encoder}",
        settings=asks(
            lambda encoder: PLAN.sources.settings("import-embeddings", "encoders", encoder)
        ),
        images=asks(
            lambda encoder, stimuli: flag(
                "--images", PLAN.sources.precomputed_images(encoder, stimuli)
            )
        ),
        code=code("import-embeddings"),
    shell:
        "spikeline import-embeddings --values {input.values:q} --stimuli {input.stimuli:q}"
        " {params.images:q}"
        " --encoder {params.encoder:q} --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"


rule reduce_layers:
    """Cut an encoder's layers to the principal components of a subject's training images."""
    input:
        responses="results/responses/{subject}.h5",
        embeddings=asks(PLAN.sources.embeddings),
    output:
        "results/targets/{encoder}/{subject}.h5",
    log:
        "logs/reduce_layers/{encoder}/{subject}.log",
    threads: 2
    resources:
        mem=scaled(8),
        runtime=minutes(120),
    params:
        settings=asks(lambda encoder: PLAN.sources.settings("reduce-layers", "encoders", encoder)),
        code=code("reduce-layers"),
    shell:
        "spikeline reduce-layers --responses {input.responses:q}"
        " --embeddings {input.embeddings:q} --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"
