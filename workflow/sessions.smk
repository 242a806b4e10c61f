# The Horizon: from sessions and cohorts to what its rules are made from.
import csv

# --- sessions ---------------------------------------------------------------------------------


def sessions_of_table(name):
    """The sessions that a release table names: {name: entry}, probes of one recording together."""
    item = entry("session_tables", name)
    path = location(item["table"])
    columns = ("eid", "probe_name")
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(
            f"config session_tables.{name}: {path} cannot be read; download the table first"
        ) from None
    if not rows or any(column not in rows[0] for column in columns):
        raise InputError(f"{path}: a CSV with columns {', '.join(columns)} is due")
    shared = {key: value for key, value in item.items() if key != "table"}
    sessions = {}
    for row in rows:
        session = sessions.setdefault(
            f"{name}-{row['eid'][:8]}", {**shared, "session": row["eid"], "probes": []}
        )
        if session["session"] != row["eid"]:
            raise InputError(f"{path}: two eids start with {row['eid'][:8]}")
        session["probes"] = sorted({*session["probes"], row["probe_name"]})
    # By eid, which is random: a cohort's first sessions are then no laboratory's own.
    return dict(sorted(sessions.items()))


def cohort_members(names, where):
    """The sessions behind a cohort's list: an entry of `sessions`, or a whole table."""
    members = []
    for name in names:
        if name in TABLE_SESSIONS:
            members += TABLE_SESSIONS[name]
        elif name in config["sessions"]:
            members.append(name)
        else:
            raise unknown("session", name, [*config["sessions"], *TABLE_SESSIONS], where)
    return list(dict.fromkeys(members))


@lru_cache(maxsize=None)
def cohort_sessions(name):
    """(training sessions, held-out sessions) of a cohort."""
    item, where = entry("cohorts", name), f"config cohorts.{name}"
    held_out = cohort_members(item["held_out"], where)
    train = [s for s in cohort_members(item["train"], where) if s not in held_out]
    if not train:
        raise InputError(f"{where}: no session is left to train on")
    recordings = {}
    for session in train + held_out:
        other = recordings.setdefault(recording_of(session), session)
        if other != session:
            raise InputError(f"{where}: {other!r} and {session!r} are the same recording; drop one")
    return train, held_out


def recording_of(session):
    """What tells recordings apart, whatever they are called."""
    item = entry("sessions", session)
    return item.get("times") or (item["dataset"], str(item["session"]))


def first_sessions(cohort, count):
    """The first training sessions of a cohort, as many as asked for."""
    train, _ = cohort_sessions(cohort)
    if not 1 <= count <= len(train):
        raise InputError(f"cohort {cohort!r} has {len(train)} training sessions, not {count}")
    return train[:count]


def session_settings(name):
    """The settings by which a recording is converted."""
    item = entry("sessions", name)
    keys = ("split", "min_rate_hz", "min_units")
    return as_settings({"session": name, **{key: item[key] for key in keys}})


def movies_option(stimuli):
    return list_option("--movies", entry("stimuli", stimuli)["movies"])


def session_images(name):
    """The packed images that a session was shown, or None."""
    stimuli = entry("sessions", name).get("stimuli")
    return stimuli and entry("stimuli", stimuli) and stimuli


def dataset_input(name):
    """A dataset's files here: its simulated origin, or a local copy; none where it is remote."""
    item = entry("datasets", name)
    if "twin" in item:
        return f"resources/twins/{item['twin']}/{'alf' if item['kind'] == 'one' else 'nwb'}"
    # A cache that fills itself is no input: it would look changed after each download.
    return location(item["cache"]) if item["kind"] == "one" and "cache" in item else []


def one_options(name):
    """How ONE is started for a dataset."""
    item = entry("datasets", name)
    revision = option("--revision", item.get("revision"))
    local = dataset_input(name)
    if local:
        return f"{option('--cache', local)} {revision}"
    return f"{option('--url', item['url'])} {option('--cache', 'resources/caches/one')} {revision}"


def allen_cache(name):
    """The folder of AllenSDK's cache."""
    return dataset_input(name) or location(entry("datasets", name)["cache"])


# --- forecasters ------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def forecaster_cohort(model):
    """(training sessions, held-out sessions) of a forecaster: the first `training_sessions`."""
    settings = MODELS.settings(model)
    train, held_out = cohort_sessions(settings["cohort"])
    count = settings["training_sessions"] or len(train)
    try:
        return first_sessions(settings["cohort"], count), held_out
    except InputError as error:
        raise InputError(f"model {model!r}, training_sessions: {error}") from None


def normalisation_of(model):
    """The feature scale fitted on a forecaster's own training sessions."""
    train, _ = forecaster_cohort(model)
    cohort = MODELS.settings(model)["cohort"]
    return f"results/normalisations/{cohort}/{len(train)}_sessions.h5"


def of_sessions(pattern, sessions):
    """A file for each session."""
    return expand(pattern, session=sessions)


def embeddings_for(model, sessions):
    """The image embeddings that a forecaster looks up, of every stimulus set its sessions saw."""
    settings = MODELS.settings(model)
    if "image" not in settings.get("modalities", ()):
        return []
    stimuli = sorted({s for s in map(session_images, sessions) if s})
    entry("encoders", settings["encoder"])
    return [f"results/embeddings/{settings['encoder']}/{name}.h5" for name in stimuli]


def is_regression(model):
    """Whether a forecaster is one fit for each session, rather than a network over many."""
    return MODELS.settings(model)["kind"] == "regression"


def forecaster_inputs(model, sessions):
    """What a forecaster reads of these sessions; a regression reads counts alone."""
    if is_regression(model):
        return {"counts": of_sessions("results/counts/{session}.h5", sessions)}
    return {
        "counts": of_sessions("results/counts/{session}.h5", sessions),
        "features": of_sessions("results/features/{session}.h5", sessions),
        "normalisation": normalisation_of(model),
        "embeddings": embeddings_for(model, sessions),
    }


def training_inputs(wildcards):
    return forecaster_inputs(wildcards.model, forecaster_cohort(wildcards.model)[0])


def forecast_inputs(wildcards):
    """All of a forecaster, and the sessions it is tested on; it knows its own feature scale."""
    model = MODELS.trained_name(wildcards.model)
    sessions = sum(forecaster_cohort(model), [])
    inputs = forecaster_inputs(wildcards.model, sessions)
    inputs.pop("normalisation", None)
    if is_regression(model):
        pattern, parts = "results/regressions/{model}/{part}.safetensors", sessions
    else:
        pattern, parts = (
            "results/forecasters/{model}/seed{part}.safetensors",
            forecast_seeds(wildcards),
        )
    return {"forecasters": expand(pattern, model=model, part=parts), **inputs}


def forecaster_gpu(wildcards):
    """Whether a forecaster asks for the GPU."""
    return MODELS.settings(wildcards.model).get("gpu", 0)


def forecaster_threads(wildcards):
    """On the CPU one: threads of a small network wait for each other more than they work."""
    return 2 if forecaster_gpu(wildcards) else 1


def forecast_seeds(wildcards):
    """The seeds of an evaluation; none of a regression, where nothing is random."""
    if is_regression(wildcards.model):
        return []
    return list(range(SEEDS.get((wildcards.model, None), config["evaluation"]["seeds"])))


def forecast_roles(wildcards):
    """Whether the forecaster has seen each session."""
    train, held_out = forecaster_cohort(wildcards.model)
    return ["seen"] * len(train) + ["held_out"] * len(held_out)


def session_role(model, session):
    """Whether a forecaster may see a session."""
    train, held_out = forecaster_cohort(model)
    if session not in train + held_out:
        raise unknown("session", session, train + held_out, f"model {model!r}")
    return "held_out" if session in held_out else "seen"


def forecast_cohort(wildcards):
    """The names behind the roles: two sessions that change places leave roles and inputs alike."""
    train, held_out = forecaster_cohort(wildcards.model)
    return as_settings({"seen": train, "held_out": held_out})


def true_rates(session):
    """The rates that a session was simulated from; none for a real recording."""
    item = entry("sessions", session)
    twin = entry("datasets", item["dataset"]).get("twin") if "dataset" in item else None
    return f"resources/twins/{twin}/simulation" if twin else []


def forecast_settings(model):
    """The settings that scoring a forecaster reads."""
    MODELS.checked(model)
    horizons = config["evaluation"]["horizons_ms"]
    return as_settings({**MODELS.evaluation_settings(model), "horizons": horizons})


def forecasts_of(wildcards):
    """The evaluations that an ablation collects, in the order of its conditions."""
    conditions = ablation_conditions(wildcards.ablation)
    return [f"results/forecasts/{condition['model']}.json" for condition in conditions]


def baselines_of(wildcards):
    """The baselines of every session that an ablation's forecasters are tested on."""
    sessions = {}
    for condition in ablation_conditions(wildcards.ablation):
        train, held_out = forecaster_cohort(condition["model"])
        sessions.update(dict.fromkeys(train + held_out))
    return of_sessions("results/baselines/{session}.json", sessions)


def decodings():
    """Every seed of every session whose wheel is decoded."""
    return expand(
        "results/wheel/{session}/seed{seed}.json",
        session=config["wheel"]["sessions"],
        seed=range(config["wheel"]["seeds"]),
    )


def check_session(name):
    """Raise InputError where a session's origin cannot be told, or is not here."""
    item = entry("sessions", name)
    if "dataset" in item:
        kind = {"ibl": "one", "allen": "allen"}[item["kind"]]
        try:
            dataset_of(item["dataset"], kind)
        except InputError as error:
            raise InputError(f"config sessions.{name}: {error}") from None
        allen_cache(item["dataset"]) if kind == "allen" else dataset_input(item["dataset"])
    else:
        own = ("times", "clusters", "quality", "behaviour_timestamps", "behaviour_position")
        check_files("sessions", name, *own)
    session_images(name)


def forecast_minutes(wildcards, attempt):
    """Wall time of an evaluation, which is one job for all sessions and seeds."""
    train, held_out = forecaster_cohort(wildcards.model)
    jobs = (len(train) + len(held_out)) * max(1, len(forecast_seeds(wildcards)))
    return minutes(max(120, jobs))(wildcards, attempt)


def check_forecaster(model):
    """Raise InputError where a forecaster cannot be made, naming what is known."""
    check_system(model, "horizon")
    train, held_out = forecaster_cohort(model)
    longest = max(config["evaluation"]["horizons_ms"])
    trained = MODELS.settings(model).get("horizon_ms", longest)
    if trained < longest:
        raise InputError(
            f"model {model!r}: horizon_ms is {trained}, but evaluation.horizons_ms asks for {longest}"
        )
    for session in train + held_out:
        check_session(session)
    embeddings_for(model, train + held_out)


def check_wheel():
    """Raise InputError where a session whose wheel is decoded is not known."""
    for session in config["wheel"]["sessions"]:
        check_session(session)


try:
    TABLE_SESSIONS = {name: sessions_of_table(name) for name in config["session_tables"]}
    for listed in TABLE_SESSIONS.values():
        config["sessions"].update(listed)
    for name in config["sessions"]:
        if name in config["subjects"]:
            raise InputError(f"config: {name!r} names a subject and a session; rename one")
except InputError as error:
    raise config_error(error) from None
