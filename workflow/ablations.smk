# Ablations: the grids that tables collect, and the checks of every name before anything is planned.
from collections import Counter

WHEEL = "poyo_wheel"


def ablation_system(name):
    """The system whose models an ablation compares: bridge or horizon."""
    ablation = entry("ablations", name)
    bases = ablation.get("models") or [ablation["base"]]
    systems = {MODELS.settings(base)["system"] for base in bases}
    if len(systems) > 1:
        raise InputError(
            f"config ablations.{name}: mixes models of {' and '.join(sorted(systems))}"
        )
    (system,) = systems
    if system == "bridge" and not ablation.get("subjects"):
        raise InputError(f"config ablations.{name}: the key 'subjects' is missing")
    if system == "horizon" and ablation.get("subjects"):
        raise InputError(f"config ablations.{name}: forecasters have a cohort, not 'subjects'")
    return system


def ablations_of(system):
    """A wildcard constraint: the names of a system's ablations."""
    return "|".join(n for n in config["ablations"] if ablation_system(n) == system) or "(?!)"


def told(model, varied):
    """Varied settings as the table tells them: how many sessions "all" are."""
    if varied.get("training_sessions") != 0:
        return varied
    every, _ = cohort_sessions(MODELS.settings(model)["cohort"])
    return {**varied, "training_sessions": len(every)}


def ablation_conditions(name):
    """[{model, subject, varied}], a row each of the table; a forecaster has no subject."""
    ablation = entry("ablations", name)
    grid = MODELS.grid(ablation)
    rows = [(model, subject) for model, _ in grid for subject in ablation.get("subjects", [None])]
    twice = next((row for row, count in Counter(rows).items() if count > 1), None)
    if twice:
        raise InputError(f"config ablations.{name}: {twice[0]!r} is listed twice; drop one")
    if ablation_system(name) == "horizon":
        return [{"model": model, "varied": told(model, varied)} for model, varied in grid]
    return [
        {"model": model, "subject": subject, "varied": varied}
        for model, varied in grid
        for subject in ablation["subjects"]
    ]


def tables():
    """The ablations that are made when no target is given."""
    named = list(config["ablations"]) if config["tables"] is None else config["tables"]
    return [name for name in named if name != WHEEL]


def tables_of(system):
    """The tables of a system, as targets."""
    made = expand(
        "results/ablation_{ablation}.tsv",
        ablation=[name for name in tables() if ablation_system(name) == system],
    )
    wanted = config["tables"] is None or WHEEL in config["tables"]
    if system == "horizon" and wanted and config["wheel"]["sessions"]:
        made.append(f"results/{WHEEL}.tsv")
    return made


def regions_of(subject):
    """The areas of a subject's region map."""
    item = entry("subjects", subject)
    regions = {"macaque_v4": ["V4"], "arrays": ["all"]}.get(item["kind"])
    return list(item.get("regions") or regions)


def check_model(model, subject):
    """Raise InputError where a model cannot be made for a subject, naming what is known."""
    check_system(model, "bridge")
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
                key = condition["model"], condition.get("subject")
                seeds[key] = max(seeds.get(key, 0), ablation["seeds"])
                if name in tables():
                    check_forecaster(key[0]) if key[1] is None else check_model(*key)
        except InputError as error:
            raise InputError(f"config ablations.{name}: {error}") from None
    return seeds


# The config section whose entries a folder's files are named after.
NAMED_IN = {
    "responses": "subjects",
    "embeddings": "encoders",
    **dict.fromkeys(
        ["sessions", "validations", "counts", "features", "baselines", "wheel"], "sessions"
    ),
}


def check_targets(arguments):
    """Say what is wrong with a target's names, before Snakemake looks for a rule that makes it.

    Snakemake knows its targets only after this file is read: they are taken from the command line.
    """
    for target in arguments:
        target = os.path.normpath(target)
        parts = target.split("/")
        try:
            if (
                parts[:2] in (["results", "evaluations"], ["results", "decoders"])
                and len(parts) > 3
            ):
                MODELS.checked(parts[2])
                check_model(parts[2], Path(parts[3]).stem)
            if (
                parts[:2] in (["results", "forecasts"], ["results", "forecasters"])
                and len(parts) > 2
            ):
                model = parts[2].removesuffix(".json")
                MODELS.checked(model)
                check_forecaster(model)
            if parts[0] == "results" and len(parts) > 2 and parts[1] in NAMED_IN:
                entry(NAMED_IN[parts[1]], Path(parts[2]).stem)
            if parts[:2] == ["results", "embeddings"] and len(parts) > 3:
                entry("stimuli", Path(parts[3]).stem)
            if parts[:2] == ["results", "regressions"] and len(parts) > 3:
                MODELS.checked(parts[2])
                session_role(parts[2], Path(parts[3]).stem)
            size = re.fullmatch(r"results/normalisations/([^/]+)/(\d+)_sessions\.h5", target)
            if size:
                first_sessions(size[1], int(size[2]))
            if len(parts) == 2 and parts[1].startswith("ablation_"):
                entry("ablations", parts[1].removeprefix("ablation_").partition(".")[0])
        except InputError as error:
            raise InputError(f"target {target}: {str(error).removeprefix('config: ')}") from None


try:
    SEEDS = checked_seeds()
    check_wheel()
    check_targets(sys.argv[1:])
except InputError as error:
    raise config_error(error) from None
