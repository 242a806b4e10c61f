# Recordings of any source to one contract.
#
# CONSUMES  resources/recordings/{subject}/, or a lab's own files (config: subjects, kind arrays)
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
        subject=named("subjects", "tvsd"),
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        settings=lambda wildcards: chosen(entry("subjects", wildcards.subject), "regions"),
        code=code("convert-tvsd"),
    shell:
        "spikeline convert-tvsd --norm-mua {input.norm_mua:q} --things-imgs {input.things_imgs:q}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule convert_macaque_v4:
    """Check and convert a session of the public macaque V4 set."""
    input:
        responses=rules.fetch_macaque_v4.output,
        stimuli=lambda wildcards: subject_stimuli(wildcards.subject),
    output:
        "results/responses/{subject}.h5",
    log:
        "logs/convert_macaque_v4/{subject}.log",
    wildcard_constraints:
        subject=named("subjects", "macaque_v4"),
    resources:
        mem=scaled(2),
        runtime=minutes(20),
    params:
        settings=lambda wildcards: chosen(
            entry("subjects", wildcards.subject), "splits", "test_images"
        ),
        code=code("convert-macaque-v4"),
    shell:
        "spikeline convert-macaque-v4 --responses {input.responses:q} --stimuli {input.stimuli:q}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule convert_arrays:
    """Check and convert a lab's own arrays."""
    input:
        responses=lambda wildcards: own_file("subjects", wildcards.subject, "responses"),
        images=lambda wildcards: own_file("subjects", wildcards.subject, "images"),
        test_responses=lambda wildcards: own_file("subjects", wildcards.subject, "test_responses"),
        test_images=lambda wildcards: own_file("subjects", wildcards.subject, "test_image_list"),
        stimuli=lambda wildcards: subject_stimuli(wildcards.subject),
    output:
        "results/responses/{subject}.h5",
    log:
        "logs/convert_arrays/{subject}.log",
    wildcard_constraints:
        subject=named("subjects", "arrays"),
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        settings=lambda wildcards: chosen(
            entry("subjects", wildcards.subject), "regions", "splits", "test_images"
        ),
        options=lambda wildcards: own_options(
            "subjects",
            wildcards.subject,
            images="--images",
            test_responses="--test-responses",
            test_image_list="--test-images",
        ),
        code=code("convert-arrays"),
    shell:
        "spikeline convert-arrays --responses {input.responses:q} --stimuli {input.stimuli:q}"
        " {params.options} --settings {params.settings:q} --output {output:q} 2> {log:q}"
