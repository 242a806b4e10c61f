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
    # In a client's own environment: `client FOLDER SUBCOMMAND ...`.
    'client() {{ local folder=$1; shift; "$folder/bin/python" -m spikeline "$@"; }}; '
    f"uv() {{{{ '{Path(sys.executable).parent}/uv' \"$@\"; }}}}; "
)

SCHEMA = load_schema()


def config_error(error):
    """A user's mistake, as Snakemake says it: one line, no traceback."""
    # An overlay alone is no config, and what is said of it then misleads.
    alone = not Path("config/config.yaml").exists()
    where = (
        f" (this folder has no config/config.yaml that it could complete; run in {ROOT})"
        if alone
        else ""
    )
    return WorkflowError(f"{error}{where}")


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
    session=ENTRY_NAME,
    cohort=ENTRY_NAME,
    environment="ibl|allen",
    model="[^/]+",
    seed=r"\d+",


# Which rule makes a model, by its kind.
CLOSED_FORM = ("ridge", "bayesian")
NETWORKS = ("linear", "mlp", "capoyo")
FORECASTERS = ("forecaster", "regression")


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


def own_settings(section, name):
    """All of an entry but its kind, as settings."""
    return as_settings({k: v for k, v in entry(section, name).items() if k != "kind"})


def check_system(model, system):
    """Raise InputError where a model is of the other system."""
    own = MODELS.settings(model)["system"]
    if own != system:
        raise InputError(
            f"model {model!r} is of the {own.title()}; one of the {system.title()} is due"
        )


def twin_settings(name):
    """A twin's settings; its monkeys and region maps are those of the subjects that read it."""
    settings = {key: value for key, value in entry("twins", name).items() if key != "kind"}
    settings["subjects"] = {
        subject["folder"]: {"regions": subject["regions"]}
        for subject in config["subjects"].values()
        if subject["kind"] == "tvsd" and entry("datasets", subject["dataset"]).get("twin") == name
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
    keys = ("shuffles", "repetition_draws", "ceiling_draws")
    how = {key: config["evaluation"][key] for key in keys}
    return as_settings({**how, "test_repetitions": repetitions})
