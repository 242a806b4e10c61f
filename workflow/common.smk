# From the config to what rules ask: entries, settings, digests, grids. Light: no torch, no HDF5.
import json
import sys
from functools import lru_cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.current_basedir).parent
sys.path.insert(0, str(ROOT / "src"))

from spikeline.errors import InputError
from spikeline.settings.code_digest import code_digest
from spikeline.settings.entries import ENTRY_NAME, Models
from spikeline.settings.schema import load_schema, unknown, validated_config

# Each job runs `spikeline ...` with the Python that runs Snakemake and the code of this checkout.
shell.executable("bash")
shell.prefix(
    "set -euo pipefail; "
    f"export PYTHONPATH='{ROOT}/src'; "
    f"spikeline() {{{{ '{sys.executable}' -m spikeline \"$@\"; }}}}; "
)

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")


def config_error(error):
    """A user's mistake, as Snakemake says it: one line, no traceback."""
    return WorkflowError(str(error))


try:
    config = validated_config(config, SCHEMA)
    MODELS = Models(config, SCHEMA["properties"]["models"]["x-kinds"])
except InputError as error:
    raise config_error(error) from None


wildcard_constraints:
    subject=ENTRY_NAME,
    stimuli=ENTRY_NAME,
    encoder=ENTRY_NAME,
    twin=ENTRY_NAME,
    dataset=ENTRY_NAME,
    ablation=ENTRY_NAME,
    model="[^/]+",
    seed=r"\d+",


# Which rule makes a model, by its kind.
CLOSED_FORM = ("ridge", "bayesian")
NETWORKS = ("linear", "mlp", "capoyo")


def scaled(gigabytes):
    """Memory for a job, doubled at each retry."""
    return lambda wildcards, attempt: f"{gigabytes * 2 ** (attempt - 1)}GB"


def minutes(count):
    """Wall time for a job, doubled at each retry."""
    return lambda wildcards, attempt: count * 2 ** (attempt - 1)


# --- config entries ---------------------------------------------------------------------------


def entry(section, name):
    """An entry of a config section; an unknown name lists the known ones."""
    if name not in config[section]:
        raise unknown(section.rstrip("s"), name, config[section])
    return config[section][name]


def named(section, *kinds):
    """A wildcard constraint: the names of a section's entries of these kinds."""
    names = [name for name, item in config[section].items() if item["kind"] in kinds]
    # A constraint that nothing meets, where there are none.
    return "|".join(sorted(names)) or "(?!)"


def models_of(*kinds):
    """A wildcard constraint: model names of these kinds, alone or with overrides."""
    return rf"(?:{named('models', *kinds)})(?:@[^/]+)?"


def as_settings(values):
    """Settings as a job gets them. Sorted, so that the order in the config means nothing."""
    return json.dumps(values, sort_keys=True)


def code(subcommand):
    """The digest of the code that a subcommand runs; a change of it is a reason to rerun."""
    return code_digest(f"spikeline.cli.{subcommand.replace('-', '_')}")


def chosen(item, *keys):
    """Some keys of an entry, as settings."""
    return as_settings({key: item[key] for key in keys})


def twin_settings(name):
    """A twin's settings; its monkeys and region maps are those of the subjects that read it."""
    settings = {key: value for key, value in entry("twins", name).items() if key != "kind"}
    settings["subjects"] = {
        subject["folder"]: {"regions": subject["regions"]}
        for subject in config["subjects"].values()
        if subject["kind"] == "tvsd" and entry("datasets", subject["dataset"])["twin"] == name
    }
    return as_settings(settings)


def encoder_settings(name):
    """The settings by which an encoder embeds; where its files lie is an input, not a setting."""
    item = entry("encoders", name)
    return as_settings(
        {k: v for k, v in item.items() if k not in ("files", "images", "stimuli", "training")}
    )


def weights_settings(name):
    """What is downloaded for an encoder: how it is used later changes nothing."""
    return as_settings({k: v for k, v in entry("encoders", name).items() if k != "batch_size"})


def clip_settings(name):
    """The settings by which the demo's encoder is trained."""
    return as_settings(entry("encoders", name)["training"])


@lru_cache(maxsize=None)
def training_settings(model):
    """The settings that training reads. The model's own name must be written canonically."""
    MODELS.checked(model)
    return as_settings(MODELS.training_settings(model))


@lru_cache(maxsize=None)
def evaluation_settings(model):
    """The settings that evaluation reads."""
    repetitions = MODELS.checked(model)["test_repetitions"]
    how = {key: value for key, value in config["evaluation"].items() if key != "seeds"}
    return as_settings({**how, "test_repetitions": repetitions})


# --- ablations --------------------------------------------------------------------------------


def ablation_conditions(name):
    """[{model, subject, varied}], a row each of the table."""
    ablation = entry("ablations", name)
    return [
        {"model": model, "subject": subject, "varied": varied}
        for model, varied in MODELS.grid(ablation)
        for subject in ablation["subjects"]
    ]


def tables():
    """The ablations that are made when no target is given."""
    return list(config["ablations"]) if config["tables"] is None else config["tables"]


def regions_of(subject):
    """The areas of a subject's region map."""
    item = entry("subjects", subject)
    regions = {"macaque_v4": ["V4"], "arrays": ["all"]}.get(item["kind"])
    return list(item.get("regions") or regions)


def check_model(model, subject):
    """Raise InputError where a model cannot be made for a subject, naming what is known."""
    known = regions_of(subject)
    settings = MODELS.settings(model)
    if settings["kind"] == "ensemble":
        for member in MODELS.members(model):
            check_model(member, subject)
        return
    check_locations(subject, settings["encoder"])
    for region in settings["regions"]:
        if region not in known:
            raise unknown("region", region, known, f"model {model!r}, subject {subject!r}")


def checked_seeds():
    """Seeds of each (model, subject) over all ablations; every name in them is checked here."""
    seeds = {}
    for name in tables():
        entry("ablations", name)
    for name, ablation in config["ablations"].items():
        try:
            for condition in ablation_conditions(name):
                key = condition["model"], condition["subject"]
                seeds[key] = max(seeds.get(key, 0), ablation["seeds"])
                if name in tables():
                    check_model(*key)
        except InputError as error:
            raise InputError(f"config ablations.{name}: {error}") from None
    return seeds


def check_targets(arguments):
    """Say what is wrong with a target's names, before Snakemake looks for a rule that makes it.

    Snakemake knows its targets only after this file is read: they are taken from the command line.
    """
    for target in arguments:
        parts = target.split("/")
        try:
            if (
                parts[:2] in (["results", "evaluations"], ["results", "decoders"])
                and len(parts) > 3
            ):
                MODELS.checked(parts[2])
                check_model(parts[2], Path(parts[3]).stem)
            if len(parts) == 2 and parts[1].startswith("ablation_"):
                entry("ablations", parts[1].removeprefix("ablation_").partition(".")[0])
        except InputError as error:
            raise InputError(f"target {target}: {str(error).removeprefix('config: ')}") from None
