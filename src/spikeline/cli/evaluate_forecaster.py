r"""Score a forecaster, every seed or session of it, on test blocks of sessions seen and not.

Example:
    spikeline evaluate-forecaster --forecasters results/forecasters/idencoder/seed0.safetensors \
      --counts results/counts/ibl_01.h5 results/counts/ibl_05.h5 \
      --features results/features/ibl_01.h5 results/features/ibl_05.h5 --roles seen held_out \
      --output idencoder.json
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import forecasts, provenance
from spikeline.cli import _forecasters
from spikeline.cli._options import add_output, add_settings, settings_of, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _forecasters.add_arguments(parser)
    add_settings(parser, "evaluate-forecaster")
    add_output(parser, "forecasts, JSON")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "evaluate-forecaster")
    from tqdm import tqdm

    from spikeline.horizon.scores.evaluation import evaluate
    from spikeline.horizon.scores.leakage import check_forecaster

    forecaster, sessions = _forecasters.read(options, settings)
    checked = check_forecaster(forecaster, sessions, settings["horizons_ms"])
    with tqdm(total=len(sessions), desc="evaluate", unit="session", mininterval=5.0) as bar:
        found = evaluate(forecaster, sessions, lambda _: bar.update())
    facts = {"parameters": forecaster.parameters, "leakage_windows": checked}
    inputs = [*options.counts, *options.features, *options.embeddings, *options.forecasters]
    forecasts.write(
        options.output,
        forecasts.Forecasts(settings, found, facts),
        provenance.describe(__name__, settings, inputs, seeds=forecaster.seeds),
    )
