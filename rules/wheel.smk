# Sessions to decoded wheel velocity: POYO, alone and jointly, and ridge.
#
# CONSUMES  results/sessions/{session}.h5, results/validations/{session}.json
# PRODUCES  results/wheel/{session}/seed{seed}.json     errors of POYO, ridge and a control
#           results/wheel_joint/seed{seed}.json         errors of one POYO in all its sessions
#           results/poyo_wheel.tsv, .png                R2 on held-out blocks


rule decode_wheel:
    """Decode wheel velocity from the spikes of the last second, with POYO and with ridge."""
    input:
        session="results/sessions/{session}.h5",
        verdict="results/validations/{session}.json",
    output:
        "results/wheel/{session}/seed{seed}.json",
    log:
        "logs/decode_wheel/{session}/seed{seed}.log",
    benchmark:
        "logs/decode_wheel/{session}/seed{seed}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem=scaled(8),
        runtime=minutes(120),
        state_interval_s=20,
    params:
        settings=PLAN.wheel_settings("decode-wheel"),
        code=code("decode-wheel"),
    shell:
        "spikeline decode-wheel --session {input.session:q} --settings {params.settings:q}"
        " --seed {wildcards.seed} --states results/.states"
        " --state-interval {resources.state_interval_s} --output {output:q} 2> {log:q}"


rule decode_wheel_jointly:
    """Decode wheel velocity in several sessions, with one POYO trained on all of them."""
    input:
        sessions=[f"results/sessions/{name}.h5" for name in PLAN.joint_wheel],
        verdicts=[f"results/validations/{name}.json" for name in PLAN.joint_wheel],
    output:
        "results/wheel_joint/seed{seed}.json",
    log:
        "logs/decode_wheel_jointly/seed{seed}.log",
    benchmark:
        "logs/decode_wheel_jointly/seed{seed}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem=scaled(6 + 2 * len(PLAN.joint_wheel)),
        runtime=minutes(60 * len(PLAN.joint_wheel)),
        state_interval_s=20,
    params:
        settings=PLAN.wheel_settings("decode-wheel-jointly"),
        code=code("decode-wheel-jointly"),
    shell:
        "spikeline decode-wheel-jointly --sessions {input.sessions:q}"
        " --settings {params.settings:q} --seed {wildcards.seed} --states results/.states"
        " --state-interval {resources.state_interval_s} --output {output:q} 2> {log:q}"


rule tabulate_wheel:
    """Collect the decoded sessions in a table, and draw it."""
    input:
        asks(PLAN.decodings),
    output:
        table=report(
            "results/poyo_wheel.tsv",
            caption="../workflow/report/wheel.rst",
            category="Horizon",
            labels={"ablation": "poyo_wheel", "what": "table"},
        ),
        figure=report(
            "results/poyo_wheel.png",
            caption="../workflow/report/wheel.rst",
            category="Horizon",
            labels={"ablation": "poyo_wheel", "what": "figure"},
        ),
    log:
        "logs/tabulate_wheel.log",
    resources:
        mem=scaled(1),
        runtime=minutes(10),
    params:
        code=code("tabulate-wheel"),
    shell:
        "spikeline tabulate-wheel --decodings {input:q} --output {output.table:q}"
        " --figure {output.figure:q} 2> {log:q}"
