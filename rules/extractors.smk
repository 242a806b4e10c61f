# What compares reconstructed images with those shown.
#
# CONSUMES  config: extractors
#           resources/stimuli/{stimuli}.zip, resources/factors/{stimuli}.tsv
# PRODUCES  resources/extractors/{extractor}/       downloaded weights of a network
#           resources/classifiers/{extractor}/      the demo's classifier of an image's factors


localrules:
    fetch_extractor,


rule fetch_extractor:
    """Download a network's weights, where there is a network; elsewhere the folder says so."""
    output:
        directory("resources/extractors/{extractor}"),
    log:
        "logs/fetch_extractor/{extractor}.log",
    wildcard_constraints:
        extractor=PLAN.named("extractors", "torchvision", "swav"),
    resources:
        mem=scaled(4),
        runtime=minutes(60),
    params:
        extractor="{extractor}",
        settings=asks(PLAN.extractors.fetched_settings),
    shell:
        "spikeline fetch-extractor --name {params.extractor:q} --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"


rule train_classifier:
    """Train the demo's classifier of shape, colour, texture and place."""
    input:
        stimuli=asks(PLAN.extractors.training_stimuli),
        factors=asks(PLAN.extractors.training_factors),
    output:
        directory("resources/classifiers/{extractor}"),
    log:
        "logs/train_classifier/{extractor}.log",
    benchmark:
        "logs/train_classifier/{extractor}.tsv"
    wildcard_constraints:
        extractor=PLAN.named("extractors", "demo_classifier"),
    threads: 1
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        settings=asks(PLAN.extractors.classifier_settings),
        code=code("train-classifier"),
    shell:
        "spikeline train-classifier --stimuli {input.stimuli:q} --factors {input.factors:q}"
        " --settings {params.settings:q} --device cpu --output {output:q} 2> {log:q}"
