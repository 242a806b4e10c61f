# Recordings of any source to one contract.
#
# CONSUMES  resources/recordings/{subject}/, or a lab's own files (config: subjects, kind arrays)
#           results/responses/{subject}.h5 of those that are joined (kind joined)
# PRODUCES  results/responses/{subject}.h5          responses, test rows, electrode table


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
