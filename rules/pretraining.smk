# Responses to encoders of electrodes that learnt from them alone, by masking.
#
# CONSUMES  results/responses/{subject}.h5 or results/windows/{windows}/{subject}.h5
# PRODUCES  results/pretrained/{model}/{subject}/seed{seed}.safetensors   encoder and mask decoder
#           results/pretrained/{model}/{subject}/seed{seed}.tsv           its history, with the
#                                                                        masked error of a ridge
# A model is named here by the settings that pretraining reads, so that decoders share its encoder.


rule pretrain:
    """Pretrain an encoder by masking; killed, it continues from its last state."""
    input:
        responses=asks(PLAN.decoders.responses),
    output:
        pretrained="results/pretrained/{model}/{subject}/seed{seed}.safetensors",
        history="results/pretrained/{model}/{subject}/seed{seed}.tsv",
    log:
        "logs/pretrain/{model}/{subject}/seed{seed}.log",
    benchmark:
        "logs/pretrain/{model}/{subject}/seed{seed}.tsv"
    threads: asks(PLAN.devices.threads)
    resources:
        gpu=asks(PLAN.devices.gpu),
        mem=scaled(asks(lambda model: PLAN.decoders.gigabytes(model, 4))),
        runtime=minutes(240),
        state_interval_s=20,
    params:
        settings=asks(PLAN.decoders.pretraining_settings),
        device=asks(PLAN.devices.arguments),
        code=code("pretrain"),
    shell:
        "spikeline pretrain --responses {input.responses:q} {params.device:q}"
        " --settings {params.settings:q} --seed {wildcards.seed} --states results/.states"
        " --state-interval {resources.state_interval_s}"
        " --output {output.pretrained:q} --history {output.history:q} 2> {log:q}"
