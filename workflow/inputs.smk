# From names to inputs: what each rule is made from, and the options that depend on it.
import os
import re
import shlex


def location(path):
    """A config path or address with $VARIABLES filled in."""
    filled = os.path.expandvars(path)
    empty = [name for name in re.findall(r"\$\{?(\w+)", path) if not os.environ.get(name)]
    if "$" in filled or empty:
        raise InputError(f"{path}: set the environment variable it names, or write a path")
    if re.match(r"\w+://[^/]*@", filled):
        raise InputError(f"{path}: an address must not carry a user or password")
    return filled


def is_address(path):
    """Whether a file must be fetched from outside this machine."""
    return path.startswith(("https://", "http://"))


def local_input(path):
    """`path` as a rule's input; none where it is an address."""
    return [] if is_address(path) else location(path)


def options_for(inputs, **flags):
    """`--flag path` for each named input that is there."""
    given = [(flag, inputs.get(name)) for name, flag in flags.items()]
    return " ".join(f"{flag} {shlex.quote(str(path))}" for flag, path in given if path)


def option(flag, value):
    """`--flag value`, quoted; nothing where there is no value."""
    return f"{flag} {shlex.quote(str(value))}" if value else ""


def list_option(flag, values):
    """`--flag value value ...`, quoted; nothing where there is none."""
    return " ".join([flag, *(shlex.quote(str(value)) for value in values)]) if values else ""


# --- sources ----------------------------------------------------------------------------------


def dataset_of(name, kind):
    """A dataset, which must be of this kind; of a simulated one the twin must be known."""
    dataset = entry("datasets", name)
    if dataset["kind"] != kind:
        raise InputError(f"dataset {name!r} is of kind {dataset['kind']!r}; {kind!r} is due")
    if dataset.get("twin"):
        twin = entry("twins", dataset["twin"])
        due = "ventral" if kind == "datalad" else "behaving"
        if twin["kind"] != due:
            raise InputError(f"dataset {name!r}: twin {dataset['twin']!r} is not {due}")
    return dataset


def dataset_url(name):
    """Where a DataLad dataset is cloned from."""
    dataset = dataset_of(name, "datalad")
    return f"resources/twins/{dataset['twin']}" if dataset["twin"] else location(dataset["url"])


def dataset_origin(name):
    """The simulated origin of a dataset, as an input; none where it is fetched from outside."""
    twin = dataset_of(name, "datalad")["twin"]
    return f"resources/twins/{twin}" if twin else []


def subject_origin(subject):
    return dataset_origin(entry("subjects", subject)["dataset"])


def stimuli_origin(stimuli):
    return dataset_origin(entry("stimuli", stimuli)["dataset"])


def commit_option(dataset):
    return option("--commit", entry("datasets", dataset)["commit"])


def checksum_option(item):
    return option("--sha256", item["sha256"])


def password_option(stimuli):
    return option("--password-variable", entry("stimuli", stimuli).get("password_variable"))


def captions_file(stimuli):
    """Where a dataset keeps the captions of its images."""
    captions = entry("stimuli", stimuli).get("captions")
    if not captions:
        raise InputError(f"config stimuli.{stimuli}: has no captions, which demo_clip needs")
    return captions


def packed_images(stimuli):
    """What a stimulus set is packed from: a fetched archive, or a folder or zip that lies here."""
    images = entry("stimuli", stimuli)
    if images["kind"] == "archive" and not is_address(images["images"]) and not images["sha256"]:
        return location(images["images"])
    # Fetched, or copied where there is a checksum to prove.
    return f"resources/archives/{stimuli}.zip"


def subject_stimuli(subject):
    """The packed images that a subject saw."""
    stimuli = entry("subjects", subject)["stimuli"]
    entry("stimuli", stimuli)
    return f"resources/stimuli/{stimuli}.zip"


def own_file(section, name, key):
    """A file of a lab's own recording; none where the config names none."""
    path = entry(section, name)[key]
    return location(path) if path else []


def own_options(section, name, **flags):
    """`--flag path` for each file of a lab's own recording that the config names.

    From names, not from the rule's inputs: Snakemake compares those as a set, and what depends on
    them not at all, so two files that changed places would not be seen.
    """
    return options_for({key: own_file(section, name, key) for key in flags}, **flags)


# --- image encoders ---------------------------------------------------------------------------


def encoder_images(encoder):
    """The images that the demo's encoder is trained on."""
    stimuli = entry("encoders", encoder)["stimuli"]
    entry("stimuli", stimuli)
    return f"resources/stimuli/{stimuli}.zip"


def encoder_captions(encoder):
    return f"resources/captions/{entry('encoders', encoder)['stimuli']}.tsv"


def encoder_weights(encoder):
    """A folder of weights in local-dir: format, trained here or named in the config."""
    item = entry("encoders", encoder)
    if item["kind"] == "demo_clip":
        return f"resources/encoders/{encoder}"
    if item["kind"] == "open_clip" and item["model"].startswith("local-dir:"):
        return location(item["model"].removeprefix("local-dir:"))
    return []


def encoder_cache(encoder):
    """Downloaded weights; none where the encoder is trained here or lies in a folder."""
    downloaded = entry("encoders", encoder)["kind"] != "demo_clip" and not encoder_weights(encoder)
    return f"resources/weights/{encoder}" if downloaded else []


def precomputed_images(encoder, stimuli):
    """The image list of precomputed embeddings; none where they follow the sorted names."""
    images = entry("encoders", encoder)["images"].get(stimuli)
    return location(images) if images else []


def precomputed_file(encoder, stimuli):
    """The file that holds an encoder's embeddings of a stimulus set."""
    files = entry("encoders", encoder)["files"]
    if stimuli not in files:
        raise unknown("stimulus set", stimuli, files, f"config encoders.{encoder}.files")
    return location(files[stimuli])


# --- decoders ---------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def model_encoder(model):
    """The encoder of a model; an ensemble's members share one."""
    settings = MODELS.settings(model)
    if settings["kind"] != "ensemble":
        return settings["encoder"]
    encoders = {model_encoder(member) for member in MODELS.members(model)}
    if len(encoders) != 1:
        raise InputError(f"model {model!r}: its members have encoders {sorted(encoders)}; use one")
    return encoders.pop()


def embeddings_of(wildcards):
    """The embeddings a model is trained on: its encoder's, of the images its subject saw."""
    encoder = model_encoder(wildcards.model)
    stimuli = entry("subjects", wildcards.subject)["stimuli"]
    entry("encoders", encoder)
    return f"results/embeddings/{encoder}/{stimuli}.h5"


def distinct(model, subject, count):
    """How many of `count` seeds give different decoders: closed forms only differ by the split."""
    settings = MODELS.settings(model)
    if settings["kind"] == "ensemble":
        return max(distinct(member, subject, count) for member in MODELS.members(model))
    drawn = settings["training_fraction"] < 1 or settings["shuffle_responses"]
    return (
        min(count, splits_of(subject)) if settings["kind"] in CLOSED_FORM and not drawn else count
    )


def splits_of(subject):
    """The test splits of a subject; a recording with a test set of its own has one."""
    item = entry("subjects", subject)
    own_test = item["kind"] == "tvsd" or item.get("test_responses")
    return 1 if own_test else item["splits"]


def seeds_of(wildcards):
    """The seeds of an evaluation: as many as an ablation asks for, repeats left out."""
    model, subject = wildcards.model, wildcards.subject
    count = SEEDS.get((model, subject), config["evaluation"]["seeds"])
    return list(range(distinct(model, subject, count)))


def decoders_of(wildcards):
    """Every seed's decoder of a model; settings of evaluation do not enter its path."""
    return expand(
        "results/decoders/{model}/{subject}/seed{seed}.safetensors",
        model=MODELS.trained_name(wildcards.model),
        subject=wildcards.subject,
        seed=seeds_of(wildcards),
    )


def nesting(model):
    """How many ensembles deep a model is."""
    if MODELS.settings(model)["kind"] != "ensemble":
        return 0
    return 1 + max(nesting(member) for member in MODELS.members(model))


def member_decoders(wildcards):
    """An ensemble's parts: `seeds` decoders of each member, trained on the same split."""
    model, subject = wildcards.model, wildcards.subject
    splits = splits_of(subject)
    members = []
    for member in MODELS.members(model):
        seeds = range(MODELS.settings(model)["seeds"])
        # Far apart, so that no two replicates share a member; equal modulo the splits. Nested
        # ensembles step by another power, so that no decoder counts twice.
        step = 1000 ** (1 + nesting(member)) * splits
        own = [int(wildcards.seed) + step * k for k in seeds]
        varies = distinct(member, subject, splits + 1) > splits
        members += [
            f"results/decoders/{member}/{subject}/seed{s}.safetensors"
            for s in own
            if varies or s == own[0]
        ]
    return members


def evaluations_of(wildcards):
    """The evaluations that an ablation collects, in the order of its conditions."""
    return [
        f"results/evaluations/{condition['model']}/{condition['subject']}.json"
        for condition in ablation_conditions(wildcards.ablation)
    ]


# --- checks before anything is planned --------------------------------------------------------


def check_files(section, name, *keys):
    """Raise InputError where a file that an entry names does not lie here.

    Snakemake would not: where the output of a missing input is there it takes the output for given,
    and no change of its settings would ever be seen.
    """
    for key in keys:
        path = entry(section, name).get(key)
        check_file(path, f"config {section}.{name}.{key}") if path else None


def check_file(path, where):
    """As `check_files`, of one path that `where` names."""
    filled = location(path)
    if "://" not in filled and not Path(filled).exists():
        raise InputError(f"{where}: {filled}: no such file; mend the path or bring the file back")


def check_locations(subject, encoder):
    """Raise InputError where the files of a subject, its images or its encoder cannot be told."""
    item = entry("subjects", subject)
    stimuli = entry("stimuli", item["stimuli"])
    if stimuli["kind"] == "dataset":
        dataset_url(stimuli["dataset"])
    else:
        check_files("stimuli", item["stimuli"], "images")
    if item["kind"] == "tvsd":
        dataset_url(item["dataset"])
    else:
        own = ("responses", "images", "test_responses", "test_image_list")
        check_files("subjects", subject, *own)
    if entry("encoders", encoder)["kind"] == "precomputed":
        where = f"config encoders.{encoder}"
        check_file(precomputed_file(encoder, item["stimuli"]), f"{where}.files")
        images = precomputed_images(encoder, item["stimuli"])
        check_file(images, f"{where}.images") if images else None
