"""Score every seed of a forecaster on the test blocks of sessions it has seen and has never seen."""

from __future__ import annotations

import argparse
from typing import Any

from spikeline.artifacts import forecasts, provenance
from spikeline.cli import _recordings
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError

DEFAULTS = {
    "horizons": [100, 200, 500, 1000],
    "co_smoothing_groups": 4,
    "co_smoothing_horizons": [1000],
    "shuffle_history": None,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _recordings.add_arguments(parser)
    parser.add_argument(
        "--forecasters", required=True, nargs="+", metavar="FILE", help="one a seed"
    )
    parser.add_argument("--seeds", nargs="+", type=int, help="of the forecasters (0, 1, 2 ...)")
    parser.add_argument(
        "--roles", required=True, nargs="+", help="seen or held_out, one for each session"
    )
    add_settings(
        parser,
        '{"horizons": [100, 200, 500, 1000], "co_smoothing_groups": 4 (0: none), '
        '"co_smoothing_horizons": [1000], "shuffle_history": null (as in training), '
        "true or false}",
    )
    add_output(parser, "forecasts, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = _settings(settings_of(options))
    numbers = list(range(len(options.forecasters))) if options.seeds is None else options.seeds
    if len(numbers) != len(options.forecasters) or len(set(numbers)) < len(numbers):
        raise InputError(
            f"--seeds: {numbers} for {len(options.forecasters)} forecasters; "
            "give each forecaster its own seed"
        )
    if len(options.roles) != len(options.counts):
        raise InputError(f"--roles: {len(options.roles)} for {len(options.counts)} sessions")
    from tqdm import tqdm

    from spikeline.horizon import forecaster_file
    from spikeline.training.device import choose_device

    device = choose_device(options.device)
    counts, features, embeddings, mapped = _recordings.read(options)
    trained = []
    for seed, path in zip(numbers, options.forecasters, strict=True):
        one = forecaster_file.load(path, device)
        _check(one, seed, path, counts, options, embeddings)
        trained.append(one)
    found: dict[str, dict[str, dict[str, forecasts.Sums]]] = {one.session: {} for one in counts}
    bar = tqdm(total=len(counts) * len(trained), desc="evaluate", unit="session", mininterval=5.0)
    for session, described in zip(counts, features, strict=True):
        for seed, one in zip(numbers, trained, strict=True):
            scored = _scored(one, session, described, embeddings, settings, mapped, device)
            for label, horizons in scored.items():
                found[session.session][f"{label}seed{seed}"] = horizons
            bar.update()
    bar.close()
    inputs = [*options.counts, *options.features, *options.embeddings, *options.forecasters]
    forecasts.write(
        options.output,
        forecasts.Forecasts(
            settings,
            {
                one.session: forecasts.SessionForecasts(
                    role, one.source, one.counts.shape[1], found[one.session]
                )
                for one, role in zip(counts, options.roles, strict=True)
            },
            {"parameters": trained[0].model.parameters_count},
        ),
        provenance.describe(__name__, settings, inputs, seeds=numbers),
    )


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise InputError(f"--settings: unknown key {unknown[0]!r}: known are {sorted(DEFAULTS)}")
    settings = {**DEFAULTS, **given}
    for key in ("horizons", "co_smoothing_horizons"):
        values = settings[key]
        if (
            not isinstance(values, list)
            or not values
            or not all(type(value) is int and value > 0 for value in values)
        ):
            raise InputError(f"--settings: {key} is {values!r}; whole milliseconds are due")
    groups = settings["co_smoothing_groups"]
    if type(groups) is not int or groups < 0 or groups == 1:
        raise InputError(
            f"--settings: co_smoothing_groups is {groups!r}; 0, or at least 2 groups are due"
        )
    if settings["shuffle_history"] not in (None, True, False):
        raise InputError("--settings: shuffle_history must be true, false or null")
    return settings


def _check(one, seed: int, path: str, counts, options: argparse.Namespace, embeddings) -> None:
    if one.seed != seed:
        raise InputError(f"{path}: was trained with seed {one.seed}, not {seed}; see --seeds")
    for session, role, where in zip(counts, options.roles, options.counts, strict=True):
        seen = session.session in one.sessions
        if role not in ("seen", "held_out") or seen != (role == "seen"):
            raise InputError(
                f"{where}: role {role} of session {session.session}, but {path} was "
                f"{'trained on it' if seen else 'never trained on it'}; see --roles"
            )
        if session.bin_s != one.bin_s:
            raise InputError(f"{where}: bins of {session.bin_s} s; {path} reads {one.bin_s} s")
    if "image" in one.settings["modalities"]:
        _, encoder = _recordings.image_facts(embeddings)
        if encoder != one.encoder:
            raise InputError(
                f"--embeddings: of encoder {encoder or 'none'}, but {path} was trained with "
                f"{one.encoder}; embed the images with that one"
            )


def _scored(one, session, features, embeddings, settings, mapped, device):
    """{'' or 'co_smoothing:': {horizon: sums}} of one forecaster on one session."""
    from spikeline.horizon.batches import Geometry
    from spikeline.horizon.forecasting import co_smoothing, score_horizons
    from spikeline.horizon.recordings import build_recording
    from spikeline.horizon.scores import training_mean

    geometry = Geometry.of(one.settings, one.bin_s, device)
    longest = round(geometry.future_bins * one.bin_s * 1000)
    used = [*settings["horizons"]]
    if settings["co_smoothing_groups"]:
        used += settings["co_smoothing_horizons"]
    if max(used) > longest:
        raise InputError(
            f"--settings: a horizon of {max(used)} ms, but the forecaster was trained for "
            f"{longest} ms; raise its horizon_ms"
        )
    recording = build_recording(
        session,
        features,
        decay=geometry.decay,
        mean_rate=one.mean_rate,
        training_keys={key: row for row, key in enumerate(one.unit_keys)},
        random_dim=one.settings["dim"] if one.settings["identity"] == "random" else 0,
        peers=one.settings["peers"],
        embeddings=embeddings if "image" in one.settings["modalities"] else (),
        mapped=mapped,
    )
    shuffled = settings["shuffle_history"]
    if shuffled is None:
        shuffled = one.settings["shuffle_history"]
    null = training_mean(session.counts, session.domains)
    arguments = (one.model, recording, geometry, null)
    scored = {
        "": score_horizons(
            *arguments, settings["horizons"], one.bin_s, shuffled=one.seed if shuffled else None
        )
    }
    if settings["co_smoothing_groups"] and not shuffled:
        scored["co_smoothing:"] = co_smoothing(
            *arguments,
            settings["co_smoothing_horizons"],
            one.bin_s,
            settings["co_smoothing_groups"],
        )
    return scored
