r"""Train a forecaster of the next second's spikes on the train blocks of several sessions.

Killed at any point, the same command continues from its last state and ends with the same weights.

Example:
    spikeline train-forecaster --counts results/counts/ibl_01.h5 results/counts/ibl_02.h5 \
      --normalisation results/normalisations/twin/6_sessions.h5 \
      --settings '{"kind": "forecaster", "epochs": 18}' --seed 0 --states results/.states \
      --output idencoder.safetensors --history idencoder.tsv
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import features as features_artifact
from spikeline.artifacts import provenance
from spikeline.cli import _recordings, _training_run
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _recordings.add_arguments(parser)
    parser.add_argument(
        "--normalisation",
        required=True,
        metavar="FILE",
        help="features of these sessions and their scale, HDF5",
    )
    parser.add_argument("--seed", required=True, type=int, help="of weights, batches and dropout")
    _training_run.add_model_arguments(parser)
    _training_run.add_arguments(parser)
    add_settings(parser, "train-forecaster")
    add_output(parser, "forecaster, safetensors")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "train-forecaster")
    if options.seed < 0:
        raise InputError(f"--seed: {options.seed}; expected a whole number from 0")
    import torch

    from spikeline.horizon.forecaster import checkpoint
    from spikeline.horizon.forecaster.batches import Geometry
    from spikeline.horizon.forecaster.recordings import build_recording, mean_rate, unit_keys
    from spikeline.horizon.forecaster.shared_glm import SharedForecaster
    from spikeline.horizon.forecaster.training import (
        fingerprint_of,
        fit_forecaster,
        fit_shared_forecaster,
    )
    from spikeline.horizon.sessions.loading import image_facts, read_counts, read_embeddings
    from spikeline.horizon.sessions.normalisation import features_of
    from spikeline.training.runner import write_history

    training = _training_run.run_of(options, settings, __name__)
    device = training.fabric.device
    counts, mapped = read_counts(options.counts, options.budget_mb)
    embeddings = read_embeddings(options.embeddings)
    normalisation = features_artifact.read_normalisation(options.normalisation)
    names = [one.session for one in counts]
    features = features_of(normalisation, names, options.normalisation)
    image_dim, encoder = image_facts(embeddings)
    images = "image" in settings.get("modalities", ())
    if images and not embeddings:
        raise InputError("--embeddings: modalities has image; give the embeddings of the images")

    keys = [key for one in counts for key in unit_keys(one)]
    identity = settings.get("identity")
    learned = keys if identity == "per_unit" else []
    torch.manual_seed(2 * options.seed)  # the loop seeds itself, with another number
    bin_s = counts[0].bin_s
    model = checkpoint.build(
        settings,
        bin_s,
        torch.from_numpy(normalisation.mean),
        torch.from_numpy(normalisation.std),
        len(learned),
        image_dim,
    ).to(device)
    geometry = Geometry.of(settings, bin_s, device)
    rate = mean_rate(features, bin_s)
    recordings = [
        build_recording(
            one,
            described,
            decay=geometry.decay,
            mean_rate=rate,
            training_keys={key: row for row, key in enumerate(learned)},
            random_dim=settings["dim"] if identity == "random" else 0,
            embeddings=embeddings if images else (),
            mapped=mapped,
        )
        for one, described in zip(counts, features, strict=True)
    ]
    scale = [normalisation.mean.tolist(), normalisation.std.tolist()]
    with training:
        if isinstance(model, SharedForecaster):
            history = fit_shared_forecaster(
                model, recordings, geometry, settings, seed=options.seed
            )
        else:
            history = fit_forecaster(
                model,
                recordings,
                geometry,
                settings,
                seed=options.seed,
                fabric=training.fabric,
                state_file=training.state_file(),
                fingerprint=fingerprint_of({**settings, "scale": scale}, options.seed, recordings),
            )
        if not training.writes:
            return
        inputs = [*options.counts, *options.embeddings, options.normalisation]
        record = provenance.describe(__name__, settings, inputs, seed=options.seed)
        trained = checkpoint.TrainedForecaster(
            model,
            settings,
            bin_s,
            rate,
            names,
            learned,
            image_dim,
            encoder,
            options.seed,
        )
        checkpoint.save(options.output, trained, record)
        write_history(options.history, history, record)
