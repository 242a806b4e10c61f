# Spike recordings of any source to one contract, checked.
#
# CONSUMES  resources/recordings/{session}/, or a lab's own files (config: sessions, kind arrays)
# PRODUCES  results/sessions/{session}.h5           spikes, units, behaviour, stimuli, domains
#           results/validations/{session}.json      a verdict; the job fails where it is negative


rule convert_ibl:
    """Convert what ONE loaded; the probes of a session are merged."""
    input:
        rules.fetch_ibl.output,
    output:
        "results/sessions/{session}.h5",
    log:
        "logs/convert_ibl/{session}.log",
    wildcard_constraints:
        session=PLAN.named("sessions", "ibl"),
    cache: "omit-software"
    resources:
        mem=scaled(4),
        runtime=minutes(30),
    params:
        name="{session}",
        settings=asks(lambda session: PLAN.sources.settings("convert-ibl", "sessions", session)),
        code=code("convert-ibl"),
    shell:
        "spikeline convert-ibl --recording {input:q} --name {params.name:q} --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"


rule convert_allen:
    """Convert an NWB file of the Visual Coding release, read with pynwb."""
    input:
        rules.fetch_allen.output,
    output:
        "results/sessions/{session}.h5",
    log:
        "logs/convert_allen/{session}.log",
    wildcard_constraints:
        session=PLAN.named("sessions", "allen"),
    cache: "omit-software"
    resources:
        mem=scaled(8),
        runtime=minutes(30),
    params:
        name="{session}",
        settings=asks(lambda session: PLAN.sources.settings("convert-allen", "sessions", session)),
        code=code("convert-allen"),
    shell:
        "spikeline convert-allen --recording {input:q} --name {params.name:q} --settings {params.settings:q}"
        " --output {output:q} 2> {log:q}"


rule convert_spikes:
    """Convert a lab's own spike times and clusters, as Phy writes them."""
    input:
        times=asks(lambda session: PLAN.sources.file("sessions", session, "times")),
        clusters=asks(lambda session: PLAN.sources.file("sessions", session, "clusters")),
        quality=asks(lambda session: PLAN.sources.file("sessions", session, "quality")),
        timestamps=asks(
            lambda session: PLAN.sources.file("sessions", session, "behaviour_timestamps")
        ),
        position=asks(lambda session: PLAN.sources.file("sessions", session, "behaviour_position")),
    output:
        "results/sessions/{session}.h5",
    log:
        "logs/convert_spikes/{session}.log",
    wildcard_constraints:
        session=PLAN.named_else("sessions", "ibl", "allen"),
    cache: "omit-software"
    resources:
        mem=scaled(4),
        runtime=minutes(30),
    params:
        name="{session}",
        files=asks(
            lambda session: PLAN.sources.own_arguments(
                "sessions",
                session,
                quality="--quality",
                behaviour_timestamps="--behaviour-timestamps",
                behaviour_position="--behaviour-position",
            )
        ),
        clock=asks(PLAN.sources.clock_arguments),
        settings=asks(lambda session: PLAN.sources.settings("convert-spikes", "sessions", session)),
        code=code("convert-spikes"),
    shell:
        "spikeline convert-spikes --times {input.times:q} --clusters {input.clusters:q}"
        " {params.files:q} {params.clock:q}"
        " --name {params.name:q} --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule validate:
    """Check a converted session whole; the report of a failed check stays with the log."""
    input:
        "results/sessions/{session}.h5",
    output:
        "results/validations/{session}.json",
    log:
        "logs/validate/{session}.log",
    resources:
        mem=scaled(2),
        runtime=minutes(10),
    params:
        settings=asks(lambda session: PLAN.sources.settings("validate", "sessions", session)),
        code=code("validate"),
    shell:
        "spikeline validate --session {input:q} --settings {params.settings:q}"
        " --report logs/validate/{wildcards.session}.json --output {output:q} 2> {log:q}"
