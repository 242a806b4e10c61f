"""Score a forecaster, every seed or session of it, on test blocks of sessions seen and not."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from spikeline.artifacts import forecasts, provenance
from spikeline.cli import _recordings
from spikeline.cli._options import add_output, add_settings, seeds_of, settings_of, start_log
from spikeline.errors import InputError

if TYPE_CHECKING:
    from spikeline.artifacts.counts import Counts
    from spikeline.horizon.scores.tiled import Forecast

# Scores of one forecaster on one session, {horizon: sums}, under the prefixes of its label.
Scored = dict[str, dict[str, forecasts.Sums]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _recordings.add_arguments(parser)
    parser.add_argument(
        "--forecasters", required=True, nargs="+", metavar="FILE",
        help="networks, one a seed; or regressions, one a session in the order of --counts",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, help="of the networks (0, 1, 2 ...)")
    _recordings.add_roles(parser)
    add_settings(parser, "evaluate-forecaster")
    add_output(parser, "forecasts, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "evaluate-forecaster")
    _recordings.check_roles(options)
    from tqdm import tqdm

    from spikeline.horizon.regression import checkpoint as regression_file

    fitted = regression_file.recognises(options.forecasters[0])
    prepare = _prepare_regressions if fitted else _prepare_networks
    counts, numbers, score, parameters = prepare(options, settings)
    found: dict[str, Scored] = {one.session: {} for one in counts}
    bar = tqdm(total=len(counts) * len(numbers), desc="evaluate", unit="session", mininterval=5.0)
    for place, session in enumerate(counts):
        for which, seed in enumerate(numbers):
            for prefix, horizons in score(place, which).items():
                found[session.session][f"{prefix}seed{seed}"] = horizons
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
            {"parameters": parameters},
        ),
        provenance.describe(__name__, settings, inputs, seeds=numbers),
    )


# --- regressions ----------------------------------------------------------------------------------


def _prepare_regressions(
    options: argparse.Namespace, settings: dict[str, Any]
) -> tuple[list[Counts], list[int], Callable[[int, int], Scored], int]:
    """Sessions, seeds, a function that scores (session, seed) by place, and how many parameters."""
    from spikeline.horizon.regression import checkpoint as regression_file

    counts, _ = _recordings.read_counts(options.counts, options.budget_mb)
    if len(options.forecasters) != len(counts):
        raise InputError(
            f"--forecasters: {len(options.forecasters)} regressions for {len(counts)} of --counts; "
            "give one for each session, in the same order"
        )
    if options.seeds is not None:
        raise InputError("--seeds: a regression has none; leave it out")
    fitted = [regression_file.load(path) for path in options.forecasters]
    for one, path, session, role, where in zip(
        fitted, options.forecasters, counts, options.roles, options.counts, strict=True
    ):
        _check_session(one, path, session, role, where)

    def score(place: int, which: int) -> Scored:
        session, one = counts[place], fitted[place]
        return _tiled(
            partial(one.regression.forecasts, session.counts),
            session,
            settings,
            shuffled=False,
        )

    return counts, [0], score, sum(one.parameters for one in fitted)


def _check_session(one, path: str, session: Counts, role: str, where: str) -> None:
    if one.session != session.session:
        raise InputError(
            f"{path}: was fitted on session {one.session}, but {where} is {session.session}; give "
            "the regressions in the order of --counts"
        )
    if one.role != role:
        raise InputError(
            f"{where}: role {role} of session {session.session}, but {path} was fitted on it "
            f"as {one.role}; see --roles"
        )
    if one.regression.bin_s != session.bin_s:
        raise InputError(
            f"{where}: bins of {session.bin_s} s; {path} reads {one.regression.bin_s} s"
        )
    if list(one.unit_ids) != list(map(str, session.unit_ids)):
        raise InputError(f"{where}: its units are not those that {path} was fitted on; fit again")


def _tiled(forecast: Forecast, session: Counts, settings: dict[str, Any], shuffled: bool) -> Scored:
    """Scores, and the control beside them unless the forecasts are a control themselves."""
    from spikeline.horizon.scores.bits_per_spike import training_mean
    from spikeline.horizon.scores.tiled import score_horizons

    null = training_mean(session.counts, session.domains)
    arguments = (
        forecast, session.counts, session.domains, null, settings["horizons_ms"], session.bin_s,
    )  # fmt: skip
    if shuffled:
        return {"": score_horizons(*arguments, shuffled=True)}
    return {
        "": score_horizons(*arguments),
        "shuffled:": score_horizons(*arguments, shuffled=True),
    }


# --- networks -------------------------------------------------------------------------------------


def _prepare_networks(
    options: argparse.Namespace, settings: dict[str, Any]
) -> tuple[list[Counts], list[int], Callable[[int, int], Scored], int]:
    """As `_prepare_regressions`."""
    from spikeline.horizon.forecaster import checkpoint as forecaster_file
    from spikeline.training.device import choose_device

    numbers = seeds_of(options.seeds, options.forecasters, "forecaster")
    device = choose_device(options.device)
    counts, features, embeddings, mapped = _recordings.read(options)
    trained = []
    for seed, path in zip(numbers, options.forecasters, strict=True):
        one = forecaster_file.load(path, device)
        _check(one, seed, path, counts, options, embeddings)
        _check_horizons(one, path, settings)
        trained.append(one)

    def score(place: int, which: int) -> Scored:
        return _scored(
            trained[which], counts[place], features[place], embeddings, settings, mapped, device
        )

    return counts, numbers, score, trained[0].model.parameters_count


def _check(one, seed: int, path: str, counts, options: argparse.Namespace, embeddings) -> None:
    if one.seed != seed:
        raise InputError(f"{path}: was trained with seed {one.seed}, not {seed}; see --seeds")
    for session, role, where in zip(counts, options.roles, options.counts, strict=True):
        seen = session.session in one.sessions
        if seen != (role == "seen"):
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


def _check_horizons(one, path: str, settings: dict[str, Any]) -> None:
    asked, longest = max(settings["horizons_ms"]), one.settings["horizon_ms"]
    if asked > longest:
        raise InputError(
            f"--settings.horizons_ms: {asked} ms, but {path} was trained for {longest} ms; "
            "raise its horizon_ms"
        )


def _scored(one, session, features, embeddings, settings, mapped, device):
    """Scores of one network on one session."""
    from spikeline.horizon.forecaster.batches import Geometry
    from spikeline.horizon.forecaster.prediction import co_smoothing, forecast
    from spikeline.horizon.forecaster.recordings import build_recording
    from spikeline.horizon.scores.bits_per_spike import training_mean

    geometry = Geometry.of(one.settings, one.bin_s, device)
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
    shuffled = one.settings["shuffle_history"]
    network = (one.model, recording, geometry)
    scored = _tiled(partial(forecast, *network), session, settings, shuffled)
    if settings["co_smoothing_groups"] and not shuffled:
        scored["co_smoothing:"] = co_smoothing(
            *network,
            training_mean(session.counts, session.domains),
            [max(settings["horizons_ms"])],
            one.bin_s,
            settings["co_smoothing_groups"],
        )
    return scored
