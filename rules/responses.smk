# Recordings of any source to one contract.
#
# CONSUMES  resources/recordings/{subject}/, or a lab's own files (config: subjects, kind arrays)
#           results/responses/{subject}.h5 of those that are joined (kind joined)
# PRODUCES  results/responses/{subject}.h5          responses, test rows, electrode table
#           results/trials/{subject}.h5             every presentation in time bins
#           results/windows/{windows}/{subject}.h5  responses over windows of them, or in time bins


rule convert_tvsd:
    """Check and convert TVSD's normMUA and image list."""
    input:
        norm_mua=rules.fetch_tvsd.output.norm_mua,
        things_imgs=rules.fetch_tvsd.output.things_imgs,
    output:
        "results/responses/{subject}.h5",
    log:
        "logs/convert_tvsd/{subject}.log",
    wildcard_constraints:
        subject=PLAN.named("subjects", "tvsd"),
    cache: "omit-software"
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        settings=asks(lambda subject: PLAN.sources.settings("convert-tvsd", "subjects", subject)),
        code=code("convert-tvsd"),
    shell:
        "spikeline convert-tvsd --norm-mua {input.norm_mua:q} --things-imgs {input.things_imgs:q}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule convert_trials:
    """Convert TVSD's presentations to time bins; killed, it continues where it was."""
    input:
        trials=rules.fetch_tvsd_trials.output.trials,
        mapping=rules.fetch_tvsd_trials.output.mapping,
    output:
        "results/trials/{subject}.h5",
    log:
        "logs/convert_trials/{subject}.log",
    benchmark:
        "logs/convert_trials/{subject}.tsv"
    wildcard_constraints:
        subject=PLAN.named("subjects", "tvsd"),
    resources:
        mem=scaled(2),
        runtime=minutes(240),
    params:
        settings=asks(lambda subject: PLAN.sources.settings("convert-trials", "subjects", subject)),
        code=code("convert-trials"),
    shell:
        "spikeline convert-trials --trials {input.trials:q} --mapping {input.mapping:q}"
        " --settings {params.settings:q} --states results/.states --output {output:q} 2> {log:q}"


rule window_responses:
    """Take responses from presentations: means over windows by area, or time bins."""
    input:
        trials="results/trials/{subject}.h5",
        responses="results/responses/{subject}.h5",
    output:
        "results/windows/{windows}/{subject}.h5",
    log:
        "logs/window_responses/{windows}/{subject}.log",
    wildcard_constraints:
        subject=PLAN.named("subjects", "tvsd"),
    resources:
        mem=scaled(6),
        runtime=minutes(30),
    params:
        settings=asks(lambda windows: PLAN.sources.settings("window-responses", "windows", windows)),
        code=code("window-responses"),
    shell:
        "spikeline window-responses --trials {input.trials:q} --responses {input.responses:q}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule convert_macaque_v4:
    """Check and convert a session of the public macaque V4 set."""
    input:
        responses=rules.fetch_macaque_v4.output,
        stimuli=asks(PLAN.sources.subject_stimuli),
    output:
        "results/responses/{subject}.h5",
    log:
        "logs/convert_macaque_v4/{subject}.log",
    wildcard_constraints:
        subject=PLAN.named("subjects", "macaque_v4"),
    cache: "omit-software"
    resources:
        mem=scaled(2),
        runtime=minutes(20),
    params:
        settings=asks(
            lambda subject: PLAN.sources.settings("convert-macaque-v4", "subjects", subject)
        ),
        code=code("convert-macaque-v4"),
    shell:
        "spikeline convert-macaque-v4 --responses {input.responses:q} --stimuli {input.stimuli:q}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule convert_arrays:
    """Check and convert a lab's own arrays."""
    input:
        responses=asks(lambda subject: PLAN.sources.file("subjects", subject, "responses")),
        images=asks(lambda subject: PLAN.sources.file("subjects", subject, "images")),
        test_responses=asks(
            lambda subject: PLAN.sources.file("subjects", subject, "test_responses")
        ),
        test_images=asks(lambda subject: PLAN.sources.file("subjects", subject, "test_image_list")),
        stimuli=asks(PLAN.sources.subject_stimuli),
    output:
        "results/responses/{subject}.h5",
    log:
        "logs/convert_arrays/{subject}.log",
    wildcard_constraints:
        subject=PLAN.named_else("subjects", "tvsd", "macaque_v4", "joined"),
    cache: "omit-software"
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        settings=asks(lambda subject: PLAN.sources.settings("convert-arrays", "subjects", subject)),
        files=asks(
            lambda subject: PLAN.sources.own_arguments(
                "subjects",
                subject,
                images="--images",
                test_responses="--test-responses",
                test_image_list="--test-images",
            )
        ),
        code=code("convert-arrays"),
    shell:
        "spikeline convert-arrays --responses {input.responses:q} --stimuli {input.stimuli:q}"
        " {params.files:q} --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule join_responses:
    """Join subjects that saw the same images: their electrodes side by side."""
    input:
        asks(PLAN.sources.part_responses),
    output:
        "results/responses/{subject}.h5",
    log:
        "logs/join_responses/{subject}.log",
    wildcard_constraints:
        subject=PLAN.named("subjects", "joined"),
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        # In this order: Snakemake compares inputs as a set.
        responses=asks(PLAN.sources.part_responses),
        code=code("join-responses"),
    shell:
        "spikeline join-responses --responses {params.responses:q} --output {output:q} 2> {log:q}"
