# Origins to plain files.
#
# CONSUMES  config: datasets, subjects, sessions, stimuli; an address or a local path; twins
# PRODUCES  resources/recordings/{subject}/         the recording as its source wrote it
#           resources/recordings/{session}/         the same, by a client in its own environment
#           resources/logins/{dataset}.json         who is logged in; the token stays in ONE's own file
#           resources/archives/{stimuli}.zip        the images as their source packed them
#           resources/captions/{stimuli}.tsv        a caption for each image, where there are any
#           resources/categories/{stimuli}.tsv      what its images belong to, where it is known
#           resources/factors/{stimuli}.tsv         what its images show, such as a shape and a place
#           resources/stimuli/{stimuli}.zip         the images as every later step reads them
#
# A fetch is proved by commit or checksum, so it carries no digest of the code: an edit of ours is no
# reason to download again.


localrules:
    fetch_tvsd,
    fetch_tvsd_trials,
    fetch_macaque_v4,
    fetch_dataset_images,
    fetch_captions,
    fetch_categories,
    fetch_factors,
    fetch_archive,
    fetch_ibl_login,
    fetch_ibl,
    fetch_allen,
    fetch_allen_templates,


rule fetch_tvsd:
    """Clone TVSD with DataLad and get one monkey's files through git-annex."""
    input:
        origin=asks(lambda subject: PLAN.sources.clone_origin("subjects", subject)),
    output:
        norm_mua="resources/recordings/{subject}/THINGS_normMUA.mat",
        things_imgs="resources/recordings/{subject}/things_imgs.mat",
    log:
        "logs/fetch_tvsd/{subject}.log",
    wildcard_constraints:
        subject=PLAN.named("subjects", "tvsd"),
    cache: "omit-software"
    resources:
        mem=scaled(1),
        runtime=minutes(120),
    params:
        clone=asks(lambda subject: PLAN.sources.clone_arguments("subjects", subject)),
        folder=asks(lambda subject: PLAN.config.entry("subjects", subject)["folder"]),
    shell:
        "spikeline fetch-dataset {params.clone:q}"
        " --files {params.folder:q}/THINGS_normMUA.mat {params.folder:q}/_logs/things_imgs.mat"
        " --outputs {output.norm_mua:q} {output.things_imgs:q} 2> {log:q}"


rule fetch_tvsd_trials:
    """Get one monkey's presentations in time, 54-58 GB of the real ones, and its channel mapping."""
    input:
        origin=asks(lambda subject: PLAN.sources.clone_origin("subjects", subject)),
    output:
        trials="resources/recordings/{subject}/THINGS_MUA_trials.mat",
        mapping="resources/recordings/{subject}/1024chns_mapping_20220105.mat",
    log:
        "logs/fetch_tvsd_trials/{subject}.log",
    wildcard_constraints:
        subject=PLAN.named("subjects", "tvsd"),
    cache: "omit-software"
    resources:
        mem=scaled(1),
        runtime=minutes(1440),
    params:
        clone=asks(lambda subject: PLAN.sources.clone_arguments("subjects", subject)),
        folder=asks(lambda subject: PLAN.config.entry("subjects", subject)["folder"]),
    shell:
        "spikeline fetch-dataset {params.clone:q} --files {params.folder:q}/THINGS_MUA_trials.mat"
        " {params.folder:q}/_logs/1024chns_mapping_20220105.mat"
        " --outputs {output.trials:q} {output.mapping:q} 2> {log:q}"


rule fetch_macaque_v4:
    """Copy or download one session's responses, proving the checksum."""
    input:
        local=asks(lambda subject: PLAN.sources.file("subjects", subject, "responses")),
    output:
        "resources/recordings/{subject}/responses.npy",
    log:
        "logs/fetch_macaque_v4/{subject}.log",
    wildcard_constraints:
        subject=PLAN.named("subjects", "macaque_v4"),
    cache: "omit-software"
    resources:
        mem=scaled(1),
        runtime=minutes(30),
    params:
        origin=asks(lambda subject: PLAN.sources.file_arguments("subjects", subject, "responses")),
    shell:
        "spikeline fetch-file {params.origin:q} --output {output:q} 2> {log:q}"


rule fetch_dataset_images:
    """Get the image archive that lies in a DataLad dataset."""
    input:
        origin=asks(lambda stimuli: PLAN.sources.clone_origin("stimuli", stimuli)),
    output:
        "resources/archives/{stimuli}.zip",
    log:
        "logs/fetch_dataset_images/{stimuli}.log",
    wildcard_constraints:
        stimuli=PLAN.named("stimuli", "dataset"),
    cache: "omit-software"
    priority: BEFORE_LONG
    resources:
        mem=scaled(1),
        runtime=minutes(120),
    params:
        clone=asks(lambda stimuli: PLAN.sources.clone_arguments("stimuli", stimuli)),
        file=asks(lambda stimuli: PLAN.config.entry("stimuli", stimuli)["images"]),
    shell:
        "spikeline fetch-dataset {params.clone:q}"
        " --files {params.file:q} --outputs {output:q} 2> {log:q}"


rule fetch_captions:
    """Get the captions that a DataLad dataset keeps with its images."""
    input:
        origin=asks(lambda stimuli: PLAN.sources.clone_origin("stimuli", stimuli)),
    output:
        "resources/captions/{stimuli}.tsv",
    log:
        "logs/fetch_captions/{stimuli}.log",
    wildcard_constraints:
        stimuli=PLAN.named("stimuli", "dataset"),
    cache: "omit-software"
    priority: BEFORE_LONG
    resources:
        mem=scaled(1),
        runtime=minutes(30),
    params:
        clone=asks(lambda stimuli: PLAN.sources.clone_arguments("stimuli", stimuli)),
        file=asks(PLAN.sources.captions_file),
    shell:
        "spikeline fetch-dataset {params.clone:q}"
        " --files {params.file:q} --outputs {output:q} 2> {log:q}"


rule fetch_categories:
    """Get the table of categories that a DataLad dataset keeps with its images."""
    input:
        origin=asks(lambda stimuli: PLAN.sources.clone_origin("stimuli", stimuli)),
    output:
        "resources/categories/{stimuli}.tsv",
    log:
        "logs/fetch_categories/{stimuli}.log",
    wildcard_constraints:
        stimuli=PLAN.named("stimuli", "dataset"),
    cache: "omit-software"
    resources:
        mem=scaled(1),
        runtime=minutes(30),
    params:
        clone=asks(lambda stimuli: PLAN.sources.clone_arguments("stimuli", stimuli)),
        file=asks(PLAN.sources.categories_file),
    shell:
        "spikeline fetch-dataset {params.clone:q}"
        " --files {params.file:q} --outputs {output:q} 2> {log:q}"


rule fetch_factors:
    """Get the table of factors that a DataLad dataset keeps with its images."""
    input:
        origin=asks(lambda stimuli: PLAN.sources.clone_origin("stimuli", stimuli)),
    output:
        "resources/factors/{stimuli}.tsv",
    log:
        "logs/fetch_factors/{stimuli}.log",
    wildcard_constraints:
        stimuli=PLAN.named("stimuli", "dataset"),
    cache: "omit-software"
    resources:
        mem=scaled(1),
        runtime=minutes(30),
    params:
        clone=asks(lambda stimuli: PLAN.sources.clone_arguments("stimuli", stimuli)),
        file=asks(PLAN.sources.factors_file),
    shell:
        "spikeline fetch-dataset {params.clone:q}"
        " --files {params.file:q} --outputs {output:q} 2> {log:q}"


rule fetch_archive:
    """Copy or download an image archive, proving the checksum."""
    input:
        local=asks(lambda stimuli: PLAN.sources.file("stimuli", stimuli, "images")),
    output:
        "resources/archives/{stimuli}.zip",
    log:
        "logs/fetch_archive/{stimuli}.log",
    wildcard_constraints:
        stimuli=PLAN.named("stimuli", "archive"),
    cache: "omit-software"
    resources:
        mem=scaled(1),
        runtime=minutes(240),
    params:
        origin=asks(lambda stimuli: PLAN.sources.file_arguments("stimuli", stimuli, "images")),
    shell:
        "spikeline fetch-file {params.origin:q} --output {output:q} 2> {log:q}"


rule fetch_ibl_login:
    """Log in to an Alyx database once, for all jobs that read from it."""
    input:
        environment="resources/environments/ibl",
    output:
        "resources/logins/{dataset}.json",
    log:
        "logs/fetch_ibl_login/{dataset}.log",
    wildcard_constraints:
        dataset=PLAN.named("datasets", "one"),
    resources:
        mem=scaled(1),
        runtime=minutes(10),
        client_files=1,
    params:
        database=asks(PLAN.sources.login_arguments),
    shell:
        "client {input.environment:q} fetch-ibl-login {params.database:q} --output {output:q} 2> {log:q}"


rule fetch_ibl:
    """Load one IBL session with ONE and export it as plain arrays."""
    input:
        environment="resources/environments/ibl",
        cache=asks(lambda session: PLAN.sources.cache("sessions", session)),
        # Another login is no reason to fetch again.
        login=ancient(asks(PLAN.sources.login)),
    output:
        directory("resources/recordings/{session}"),
    log:
        "logs/fetch_ibl/{session}.log",
    wildcard_constraints:
        session=PLAN.named("sessions", "ibl"),
    cache: "omit-software"
    resources:
        mem=scaled(4),
        runtime=minutes(120),
    params:
        one=asks(PLAN.sources.one_arguments),
        eid=asks(lambda session: PLAN.config.entry("sessions", session)["session"]),
        probes=asks(lambda session: PLAN.config.entry("sessions", session)["probes"]),
    shell:
        "client {input.environment:q} fetch-ibl {params.one:q} --session {params.eid:q}"
        " --probes {params.probes:q} --output {output:q} 2> {log:q}"


rule fetch_allen:
    """Get one Allen session's NWB file through AllenSDK's cache."""
    input:
        environment="resources/environments/allen",
        cache=asks(lambda session: PLAN.sources.cache("sessions", session)),
    output:
        directory("resources/recordings/{session}"),
    log:
        "logs/fetch_allen/{session}.log",
    wildcard_constraints:
        session=PLAN.named("sessions", "allen"),
    cache: "omit-software"
    resources:
        mem=scaled(4),
        runtime=minutes(lambda wildcards: PLAN.sources.allen_minutes("sessions", wildcards.session)),
        client_files=1,
    params:
        cache=asks(lambda session: PLAN.sources.allen_arguments("sessions", session)),
        number=asks(lambda session: PLAN.config.entry("sessions", session)["session"]),
    shell:
        "client {input.environment:q} fetch-allen {params.cache:q}"
        " --session {params.number} --output {output:q} 2> {log:q}"


rule fetch_allen_templates:
    """Get the images and movie frames that Allen's sessions were shown, as one archive."""
    input:
        environment="resources/environments/allen",
        cache=asks(lambda stimuli: PLAN.sources.cache("stimuli", stimuli)),
    output:
        "resources/archives/{stimuli}.zip",
    log:
        "logs/fetch_allen_templates/{stimuli}.log",
    wildcard_constraints:
        stimuli=PLAN.named("stimuli", "allen_templates"),
    cache: "omit-software"
    resources:
        mem=scaled(4),
        runtime=minutes(lambda wildcards: PLAN.sources.allen_minutes("stimuli", wildcards.stimuli)),
        client_files=1,
    params:
        cache=asks(lambda stimuli: PLAN.sources.allen_arguments("stimuli", stimuli)),
        templates=asks(PLAN.sources.template_arguments),
    shell:
        "client {input.environment:q} fetch-allen-templates {params.cache:q}"
        " {params.templates:q} --output {output:q} 2> {log:q}"


rule pack_stimuli:
    """Repack a folder or archive of images into one plain zip."""
    input:
        asks(PLAN.sources.packed_from),
    output:
        "resources/stimuli/{stimuli}.zip",
    log:
        "logs/pack_stimuli/{stimuli}.log",
    cache: "omit-software"
    priority: BEFORE_LONG
    resources:
        mem=scaled(1),
        runtime=minutes(120),
    params:
        options=asks(PLAN.sources.packing_arguments),
        code=code("pack-stimuli"),
    shell:
        "spikeline pack-stimuli --images {input:q} {params.options:q}"
        " --output {output:q} 2> {log:q}"
