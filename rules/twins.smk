# Simulated origins, in the native layout of the real ones.
#
# CONSUMES  config: twins; the client environments that write IBL's and Allen's formats
# PRODUCES  resources/twins/{twin}/                 ventral: a DataLad dataset
#           resources/twins/{twin}/simulation/      behaving: every session's arrays and true rates
#           resources/twins/{twin}/alf/             behaving: an ALF tree with ONE's cache tables
#           resources/twins/{twin}/nwb/             behaving: a filled cache of AllenSDK
#           resources/twins/{twin}/*.npy            place_cells: spikes and tracking as plain arrays
#           resources/twins/{twin}/rates.h5         place_cells: the true rates


rule simulate_ventral:
    """Simulate monkeys and their images in TVSD's layout, as a DataLad dataset."""
    output:
        directory("resources/twins/{twin}"),
    log:
        "logs/simulate_ventral/{twin}.log",
    benchmark:
        "logs/simulate_ventral/{twin}.tsv"
    wildcard_constraints:
        twin=PLAN.named("twins", "ventral"),
    priority: BEFORE_LONG
    threads: 1
    resources:
        mem=scaled(6),
        runtime=minutes(20),
    params:
        settings=asks(PLAN.sources.twin_settings),
        code=code("simulate-ventral"),
    shell:
        "spikeline simulate-ventral --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule simulate_behaving:
    """Simulate sessions of spiking units in behaving animals, and keep their true rates."""
    output:
        directory("resources/twins/{twin}/simulation"),
    log:
        "logs/simulate_behaving/{twin}.log",
    benchmark:
        "logs/simulate_behaving/{twin}.tsv"
    wildcard_constraints:
        twin=PLAN.named("twins", "behaving"),
    resources:
        mem=scaled(4),
        runtime=minutes(20),
    params:
        settings=asks(lambda twin: PLAN.sources.settings("simulate-behaving", "twins", twin)),
        code=code("simulate-behaving"),
    shell:
        "spikeline simulate-behaving --settings {params.settings:q} --output {output:q} 2> {log:q}"


rule write_alf:
    """Write the simulated IBL sessions as an ALF tree, with ONE's own cache tables."""
    input:
        simulation=rules.simulate_behaving.output,
        environment="resources/environments/ibl",
    output:
        directory("resources/twins/{twin}/alf"),
    log:
        "logs/write_alf/{twin}.log",
    wildcard_constraints:
        twin=PLAN.named("twins", "behaving"),
    resources:
        mem=scaled(2),
        runtime=minutes(20),
    params:
        code=code("write-alf"),
    shell:
        "client {input.environment:q} write-alf --simulation {input.simulation:q}"
        " --output {output:q} 2> {log:q}"


rule write_nwb:
    """Write the simulated Allen sessions as NWB files in a filled cache of AllenSDK."""
    input:
        simulation=rules.simulate_behaving.output,
        environment="resources/environments/allen",
    output:
        directory("resources/twins/{twin}/nwb"),
    log:
        "logs/write_nwb/{twin}.log",
    wildcard_constraints:
        twin=PLAN.named("twins", "behaving"),
    resources:
        mem=scaled(2),
        runtime=minutes(20),
    params:
        code=code("write-nwb"),
    shell:
        "client {input.environment:q} write-nwb --simulation {input.simulation:q}"
        " --output {output:q} 2> {log:q}"


rule simulate_place_cells:
    """Simulate half an hour of place cells that drift, as plain arrays, with the true rates."""
    output:
        times="resources/twins/{twin}/spikes.times.npy",
        clusters="resources/twins/{twin}/spikes.clusters.npy",
        timestamps="resources/twins/{twin}/tracking.times.npy",
        position="resources/twins/{twin}/tracking.position.npy",
        rates="resources/twins/{twin}/rates.h5",
    log:
        "logs/simulate_place_cells/{twin}.log",
    wildcard_constraints:
        twin=PLAN.named("twins", "place_cells"),
    resources:
        mem=scaled(2),
        runtime=minutes(20),
    params:
        folder="resources/twins/{twin}",
        settings=asks(lambda twin: PLAN.sources.settings("simulate-place-cells", "twins", twin)),
        code=code("simulate-place-cells"),
    shell:
        "spikeline simulate-place-cells --settings {params.settings:q} --output {params.folder:q}"
        " 2> {log:q}"
