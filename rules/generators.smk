# Images to latents, and models that draw images.
#
# CONSUMES  resources/stimuli/{stimuli}.zip
#           results/responses/{subject}.h5                 which images train
#           results/embeddings/{encoder}/{stimuli}.h5      what a generator is conditioned on
# PRODUCES  resources/autoencoders/{autoencoder}/          a small autoencoder, folder of diffusers
#           resources/generators/{generator}/              a pipeline of diffusers, trained or fetched
#           resources/ip_adapters/{generator}.safetensors  tells a generator of text an embedding
#           results/latents/{autoencoder}/{stimuli}.h5     latents of every image
#           results/prompts/{generator}/{stimuli}.h5       text-encoder states of every caption


localrules:
    fetch_generator,


rule train_autoencoder:
    """Train a small autoencoder of images; killed, it continues from its last state."""
    input:
        responses=asks(lambda autoencoder: PLAN.generators.images_of(autoencoder)[0]),
        stimuli=asks(lambda autoencoder: PLAN.generators.images_of(autoencoder)[1]),
    output:
        folder=directory("resources/autoencoders/{autoencoder}"),
        history="resources/autoencoders/{autoencoder}.tsv",
    log:
        "logs/train_autoencoder/{autoencoder}.log",
    benchmark:
        "logs/train_autoencoder/{autoencoder}.tsv"
    wildcard_constraints:
        autoencoder=PLAN.named("autoencoders", "trained"),
    priority: LONG
    threads: asks(lambda autoencoder: PLAN.devices.threads_of("autoencoders", autoencoder))
    resources:
        gpu=asks(lambda autoencoder: PLAN.devices.gpu_of("autoencoders", autoencoder)),
        mem=scaled(4),
        runtime=minutes(60),
        state_interval_s=20,
    params:
        device=asks(lambda autoencoder: PLAN.devices.arguments_of("autoencoders", autoencoder)),
        settings=asks(PLAN.generators.autoencoder_settings),
        code=code("train-autoencoder"),
    shell:
        "spikeline train-autoencoder --responses {input.responses:q} --stimuli {input.stimuli:q}"
        " {params.device:q} --settings {params.settings:q} --states results/.states"
        " --state-interval {resources.state_interval_s}"
        " --output {output.folder:q} --history {output.history:q} 2> {log:q}"


rule encode_latents:
    """Encode every image of a stimulus set to latents."""
    input:
        stimuli="resources/stimuli/{stimuli}.zip",
        autoencoder=asks(PLAN.generators.autoencoder_made),
    output:
        "results/latents/{autoencoder}/{stimuli}.h5",
    log:
        "logs/encode_latents/{autoencoder}/{stimuli}.log",
    wildcard_constraints:
        autoencoder=ENTRY_NAME,
    cache: "omit-software"
    priority: BEFORE_LONG
    threads: asks(lambda autoencoder: PLAN.devices.threads_of("autoencoders", autoencoder))
    resources:
        gpu=asks(lambda autoencoder: PLAN.devices.gpu_of("autoencoders", autoencoder)),
        mem=scaled(8),
        runtime=minutes(120),
    params:
        autoencoder=asks(PLAN.generators.latents_arguments),
        device=asks(lambda autoencoder: PLAN.devices.arguments_of("autoencoders", autoencoder)),
        code=code("encode-latents"),
    shell:
        "spikeline encode-latents --stimuli {input.stimuli:q} {params.autoencoder:q}"
        " {params.device:q} --output {output:q} 2> {log:q}"


rule train_generator:
    """Train a small diffusion model; killed, it continues from its last state."""
    input:
        unpack(asks(PLAN.generators.training_files)),
    output:
        folder=directory("resources/generators/{generator}"),
        history="resources/generators/{generator}.tsv",
    log:
        "logs/train_generator/{generator}.log",
    benchmark:
        "logs/train_generator/{generator}.tsv"
    wildcard_constraints:
        generator=PLAN.named("generators", "trained"),
    priority: LONG
    threads: asks(lambda generator: PLAN.devices.threads_of("generators", generator))
    resources:
        gpu=asks(lambda generator: PLAN.devices.gpu_of("generators", generator)),
        mem=scaled(4),
        runtime=minutes(60),
        state_interval_s=20,
    params:
        device=asks(lambda generator: PLAN.devices.arguments_of("generators", generator)),
        settings=asks(PLAN.generators.generator_settings),
        files=asks(PLAN.generators.training_arguments),
        code=code("train-generator"),
    shell:
        "spikeline train-generator {params.files:q} {params.device:q} --settings {params.settings:q}"
        " --states results/.states --state-interval {resources.state_interval_s}"
        " --output {output.folder:q} --history {output.history:q} 2> {log:q}"


rule fetch_generator:
    """Fetch a pipeline from a folder or from the hub."""
    output:
        directory("resources/generators/{generator}"),
    log:
        "logs/fetch_generator/{generator}.log",
    wildcard_constraints:
        generator=PLAN.named("generators", "diffusers"),
    resources:
        mem=scaled(2),
        runtime=minutes(240),
    params:
        settings=asks(
            lambda generator: PLAN.sources.settings("fetch-generator", "generators", generator)
        ),
    shell:
        "spikeline fetch-generator --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule encode_prompts:
    """Encode the captions of a stimulus set, or its class names, to text-encoder states."""
    input:
        text=asks(PLAN.generators.prompt_source),
        encoder=asks(PLAN.generators.text_encoder),
    output:
        "results/prompts/{generator}/{stimuli}.h5",
    log:
        "logs/encode_prompts/{generator}/{stimuli}.log",
    wildcard_constraints:
        generator=ENTRY_NAME,
    priority: BEFORE_LONG
    threads: asks(lambda generator: PLAN.devices.threads_of("generators", generator))
    resources:
        gpu=asks(lambda generator: PLAN.devices.gpu_of("generators", generator)),
        mem=scaled(8),
        runtime=minutes(60),
    params:
        files=asks(PLAN.generators.prompt_arguments),
        device=asks(lambda generator: PLAN.devices.arguments_of("generators", generator)),
        code=code("encode-prompts"),
    shell:
        "spikeline encode-prompts {params.files:q} {params.device:q} --output {output:q} 2> {log:q}"


rule train_ip_adapter:
    """Train an IP-Adapter for a generator of text; killed, it continues from its last state."""
    input:
        unpack(asks(PLAN.generators.ip_adapter_files)),
    output:
        adapter="resources/ip_adapters/{generator}.safetensors",
        history="resources/ip_adapters/{generator}.tsv",
    log:
        "logs/train_ip_adapter/{generator}.log",
    benchmark:
        "logs/train_ip_adapter/{generator}.tsv"
    wildcard_constraints:
        generator=PLAN.named("generators", "trained"),
    priority: LONG
    threads: asks(lambda generator: PLAN.devices.threads_of("generators", generator))
    resources:
        gpu=asks(lambda generator: PLAN.devices.gpu_of("generators", generator)),
        mem=scaled(4),
        runtime=minutes(60),
        state_interval_s=20,
    params:
        device=asks(lambda generator: PLAN.devices.arguments_of("generators", generator)),
        settings=asks(PLAN.generators.ip_adapter_settings),
        files=asks(PLAN.generators.ip_adapter_arguments),
        code=code("train-ip-adapter"),
    shell:
        "spikeline train-ip-adapter {params.files:q} {params.device:q} --settings {params.settings:q}"
        " --states results/.states --state-interval {resources.state_interval_s}"
        " --output {output.adapter:q} --history {output.history:q} 2> {log:q}"
