# Images to embeddings.
#
# CONSUMES  resources/stimuli/{stimuli}.zip, resources/captions/{stimuli}.tsv,
#           or precomputed embeddings (config: encoders, kind precomputed)
# PRODUCES  resources/encoders/{encoder}/                  a tiny CLIP trained on the twin's images
#           resources/weights/{encoder}/                   downloaded weights of an image encoder
#           results/embeddings/{encoder}/{stimuli}.h5      a vector for each image


localrules:
    fetch_weights,


rule fetch_weights:
    """Download an image encoder, where there is a network."""
    output:
        directory("resources/weights/{encoder}"),
    log:
        "logs/fetch_weights/{encoder}.log",
    wildcard_constraints:
        encoder=named("encoders", "open_clip", "timm"),
    resources:
        mem=scaled(8),
        runtime=minutes(120),
    params:
        settings=lambda wildcards: weights_settings(wildcards.encoder),
    shell:
        "spikeline fetch-weights --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule train_clip:
    """Train the demo's image encoder on captioned images."""
    input:
        stimuli=lambda wildcards: encoder_images(wildcards.encoder),
        captions=lambda wildcards: encoder_captions(wildcards.encoder),
    output:
        directory("resources/encoders/{encoder}"),
    log:
        "logs/train_clip/{encoder}.log",
    benchmark:
        "logs/train_clip/{encoder}.tsv"
    wildcard_constraints:
        encoder=named("encoders", "demo_clip"),
    threads: 4
    resources:
        gpu=1,
        mem=scaled(4),
        runtime=minutes(20),
    params:
        settings=lambda wildcards: clip_settings(wildcards.encoder),
        code=code("train-clip"),
    shell:
        "spikeline train-clip --images {input.stimuli:q} --captions {input.captions:q}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule embed:
    """Embed every image of a stimulus set."""
    input:
        stimuli="resources/stimuli/{stimuli}.zip",
        weights=lambda wildcards: encoder_weights(wildcards.encoder),
        cache=lambda wildcards: encoder_cache(wildcards.encoder),
    output:
        "results/embeddings/{encoder}/{stimuli}.h5",
    log:
        "logs/embed/{encoder}/{stimuli}.log",
    benchmark:
        "logs/embed/{encoder}/{stimuli}.tsv"
    wildcard_constraints:
        encoder=named("encoders", "open_clip", "timm", "demo_clip"),
    threads: 4
    resources:
        gpu=1,
        mem=scaled(8),
        runtime=minutes(60),
    params:
        settings=lambda wildcards: encoder_settings(wildcards.encoder),
        weights=lambda wildcards, input: options_for(input, weights="--weights", cache="--cache"),
        code=code("embed"),
    shell:
        "spikeline embed --stimuli {input.stimuli:q} {params.weights}"
        " --encoder {wildcards.encoder:q} --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"


rule import_embeddings:
    """Take embeddings that were computed elsewhere."""
    input:
        values=lambda wildcards: precomputed_file(wildcards.encoder, wildcards.stimuli),
        images=lambda wildcards: precomputed_images(wildcards.encoder, wildcards.stimuli),
        stimuli="resources/stimuli/{stimuli}.zip",
    output:
        "results/embeddings/{encoder}/{stimuli}.h5",
    log:
        "logs/import_embeddings/{encoder}/{stimuli}.log",
    wildcard_constraints:
        encoder=named("encoders", "precomputed"),
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        settings=lambda wildcards: encoder_settings(wildcards.encoder),
        images=lambda wildcards, input: options_for(input, images="--images"),
        code=code("import-embeddings"),
    shell:
        "spikeline import-embeddings --values {input.values:q} --stimuli {input.stimuli:q}"
        " {params.images}"
        " --encoder {wildcards.encoder:q} --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"
