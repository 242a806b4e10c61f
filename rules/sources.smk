# Origins to plain files.
#
# CONSUMES  config: datasets, subjects, sessions, stimuli; an address or a local path; twins
# PRODUCES  resources/recordings/{subject}/         the recording as its source wrote it
#           resources/recordings/{session}/         the same, by a client in its own environment
#           resources/archives/{stimuli}.zip        the images as their source packed them
#           resources/captions/{stimuli}.tsv        a caption for each image, where there are any
#           resources/stimuli/{stimuli}.zip         the images as every later step reads them
#
# A fetch is proved by commit or checksum, so it carries no digest of the code: an edit of ours is no
# reason to download again.


localrules:
    fetch_tvsd,
    fetch_macaque_v4,
    fetch_dataset_images,
    fetch_captions,
    fetch_archive,
    fetch_ibl,
    fetch_allen,
    fetch_allen_templates,


rule fetch_tvsd:
    """Clone TVSD with DataLad and get one monkey's files through git-annex."""
    input:
        origin=lambda wildcards: subject_origin(wildcards.subject),
    output:
        norm_mua="resources/recordings/{subject}/THINGS_normMUA.mat",
        things_imgs="resources/recordings/{subject}/things_imgs.mat",
    log:
        "logs/fetch_tvsd/{subject}.log",
    wildcard_constraints:
        subject=named("subjects", "tvsd"),
    resources:
        mem=scaled(1),
        runtime=minutes(120),
    params:
        dataset=lambda wildcards: entry("subjects", wildcards.subject)["dataset"],
        url=lambda wildcards: dataset_url(entry("subjects", wildcards.subject)["dataset"]),
        commit=lambda wildcards: commit_option(entry("subjects", wildcards.subject)["dataset"]),
        folder=lambda wildcards: entry("subjects", wildcards.subject)["folder"],
    shell:
        "spikeline fetch-dataset --url {params.url:q} {params.commit}"
        " --clone resources/datasets/{params.dataset:q}"
        " --files {params.folder:q}/THINGS_normMUA.mat {params.folder:q}/_logs/things_imgs.mat"
        " --outputs {output.norm_mua:q} {output.things_imgs:q} 2> {log:q}"


rule fetch_macaque_v4:
    """Copy or download one session's responses, proving the checksum."""
    input:
        local=lambda wildcards: local_input(entry("subjects", wildcards.subject)["responses"]),
    output:
        "resources/recordings/{subject}/responses.npy",
    log:
        "logs/fetch_macaque_v4/{subject}.log",
    wildcard_constraints:
        subject=named("subjects", "macaque_v4"),
    resources:
        mem=scaled(1),
        runtime=minutes(30),
    params:
        location=lambda wildcards: location(entry("subjects", wildcards.subject)["responses"]),
        sha256=lambda wildcards: checksum_option(entry("subjects", wildcards.subject)),
    shell:
        "spikeline fetch-file --location {params.location:q} {params.sha256}"
        " --output {output:q} 2> {log:q}"


rule fetch_dataset_images:
    """Get the image archive that lies in a DataLad dataset."""
    input:
        origin=lambda wildcards: stimuli_origin(wildcards.stimuli),
    output:
        "resources/archives/{stimuli}.zip",
    log:
        "logs/fetch_dataset_images/{stimuli}.log",
    wildcard_constraints:
        stimuli=named("stimuli", "dataset"),
    resources:
        mem=scaled(1),
        runtime=minutes(120),
    params:
        dataset=lambda wildcards: entry("stimuli", wildcards.stimuli)["dataset"],
        url=lambda wildcards: dataset_url(entry("stimuli", wildcards.stimuli)["dataset"]),
        commit=lambda wildcards: commit_option(entry("stimuli", wildcards.stimuli)["dataset"]),
        file=lambda wildcards: entry("stimuli", wildcards.stimuli)["images"],
    shell:
        "spikeline fetch-dataset --url {params.url:q} {params.commit}"
        " --clone resources/datasets/{params.dataset:q}"
        " --files {params.file:q} --outputs {output:q} 2> {log:q}"


rule fetch_captions:
    """Get the captions that lie in a DataLad dataset beside its images."""
    input:
        origin=lambda wildcards: stimuli_origin(wildcards.stimuli),
    output:
        "resources/captions/{stimuli}.tsv",
    log:
        "logs/fetch_captions/{stimuli}.log",
    wildcard_constraints:
        stimuli=named("stimuli", "dataset"),
    resources:
        mem=scaled(1),
        runtime=minutes(30),
    params:
        dataset=lambda wildcards: entry("stimuli", wildcards.stimuli)["dataset"],
        url=lambda wildcards: dataset_url(entry("stimuli", wildcards.stimuli)["dataset"]),
        commit=lambda wildcards: commit_option(entry("stimuli", wildcards.stimuli)["dataset"]),
        file=lambda wildcards: captions_file(wildcards.stimuli),
    shell:
        "spikeline fetch-dataset --url {params.url:q} {params.commit}"
        " --clone resources/datasets/{params.dataset:q}"
        " --files {params.file:q} --outputs {output:q} 2> {log:q}"


rule fetch_archive:
    """Copy or download an image archive, proving the checksum."""
    input:
        local=lambda wildcards: local_input(entry("stimuli", wildcards.stimuli)["images"]),
    output:
        "resources/archives/{stimuli}.zip",
    log:
        "logs/fetch_archive/{stimuli}.log",
    wildcard_constraints:
        stimuli=named("stimuli", "archive"),
    resources:
        mem=scaled(1),
        runtime=minutes(240),
    params:
        location=lambda wildcards: location(entry("stimuli", wildcards.stimuli)["images"]),
        sha256=lambda wildcards: checksum_option(entry("stimuli", wildcards.stimuli)),
    shell:
        "spikeline fetch-file --location {params.location:q} {params.sha256}"
        " --output {output:q} 2> {log:q}"


rule fetch_ibl:
    """Load one IBL session with ONE and export it as plain arrays."""
    input:
        environment="resources/environments/ibl",
        cache=lambda wildcards: dataset_input(entry("sessions", wildcards.session)["dataset"]),
    output:
        directory("resources/recordings/{session}"),
    log:
        "logs/fetch_ibl/{session}.log",
    wildcard_constraints:
        session=named("sessions", "ibl"),
    resources:
        mem=scaled(4),
        runtime=minutes(120),
    params:
        one=lambda wildcards: one_options(entry("sessions", wildcards.session)["dataset"]),
        eid=lambda wildcards: entry("sessions", wildcards.session)["session"],
        probes=lambda wildcards: entry("sessions", wildcards.session)["probes"],
    shell:
        "client {input.environment:q} fetch-ibl {params.one} --session {params.eid:q}"
        " --probes {params.probes:q} --output {output:q} 2> {log:q}"


rule fetch_allen:
    """Get one Allen session's NWB file through AllenSDK's cache."""
    input:
        environment="resources/environments/allen",
        cache=lambda wildcards: dataset_input(entry("sessions", wildcards.session)["dataset"]),
    output:
        directory("resources/recordings/{session}"),
    log:
        "logs/fetch_allen/{session}.log",
    wildcard_constraints:
        session=named("sessions", "allen"),
    resources:
        mem=scaled(4),
        runtime=minutes(120),
    params:
        cache=lambda wildcards: allen_cache(entry("sessions", wildcards.session)["dataset"]),
        number=lambda wildcards: entry("sessions", wildcards.session)["session"],
    shell:
        "client {input.environment:q} fetch-allen --cache {params.cache:q}"
        " --session {params.number} --output {output:q} 2> {log:q}"


rule fetch_allen_templates:
    """Get the images and movie frames that Allen's sessions were shown, as one archive."""
    input:
        environment="resources/environments/allen",
        cache=lambda wildcards: dataset_input(entry("stimuli", wildcards.stimuli)["dataset"]),
    output:
        "resources/archives/{stimuli}.zip",
    log:
        "logs/fetch_allen_templates/{stimuli}.log",
    wildcard_constraints:
        stimuli=named("stimuli", "allen_templates"),
    resources:
        mem=scaled(4),
        runtime=minutes(120),
    params:
        cache=lambda wildcards: allen_cache(entry("stimuli", wildcards.stimuli)["dataset"]),
        scenes=lambda wildcards: option(
            "--scenes", entry("stimuli", wildcards.stimuli)["scenes"] and "all"
        ),
        movies=lambda wildcards: movies_option(wildcards.stimuli),
    shell:
        "client {input.environment:q} fetch-allen-templates --cache {params.cache:q}"
        " {params.scenes} {params.movies} --output {output:q} 2> {log:q}"


rule pack_stimuli:
    """Repack a folder or archive of images into one plain zip."""
    input:
        lambda wildcards: packed_images(wildcards.stimuli),
    output:
        "resources/stimuli/{stimuli}.zip",
    log:
        "logs/pack_stimuli/{stimuli}.log",
    resources:
        mem=scaled(1),
        runtime=minutes(120),
    params:
        prefix=lambda wildcards: option("--prefix", entry("stimuli", wildcards.stimuli)["prefix"]),
        password=lambda wildcards: password_option(wildcards.stimuli),
        code=code("pack-stimuli"),
    shell:
        "spikeline pack-stimuli --images {input:q} {params.prefix} {params.password}"
        " --output {output:q} 2> {log:q}"
