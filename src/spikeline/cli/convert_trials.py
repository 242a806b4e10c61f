r"""Convert TVSD's THINGS_MUA_trials.mat: every presentation in time bins, in bounded memory.

Killed, it continues where it was: what is written lies in the folder of states.

Example:
    spikeline convert-trials --trials resources/recordings/monkeyF/THINGS_MUA_trials.mat \
      --mapping resources/recordings/monkeyF/1024chns_mapping_20220105.mat \
      --settings '{"regions": {"V1": [[0, 512]], "V4": [[512, 768]], "IT": [[768, 1024]]}}' \
      --states results/.states --output results/trials/monkeyF.h5
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikeline.artifacts import provenance
from spikeline.artifacts.unfinished_trials import UnfinishedTrials
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.settings.code_digest import code_digest
from spikeline.settings.windows import area_windows
from spikeline.sources import trials, tvsd_trials
from spikeline.sources.trial_bins import binning


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trials", required=True, help="THINGS_MUA_trials.mat (MATLAB v7.3)")
    parser.add_argument(
        "--mapping", required=True, help="1024chns_mapping_20220105.mat (MATLAB v5)"
    )
    parser.add_argument(
        "--states", required=True, metavar="DIR", help="where an unfinished conversion is kept"
    )
    parser.add_argument(
        "--state-interval",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="least time between two notes of the progress (20)",
    )
    add_settings(parser, "convert-trials")
    add_output(parser, "trials, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "convert-trials")
    regions, published = settings["regions"], settings["published_windows"]
    windows = area_windows(regions, published, None, "--settings.published_windows")
    with tvsd_trials.opened(options.trials, options.mapping, regions) as recorded:
        plan = binning(
            recorded.times,
            recorded.sample_ms,
            settings["trial_bin_ms"],
            recorded.channel,
            regions,
            windows,
            options.trials,
        )
        # Too large for a checksum before each start.
        inputs = [
            [name, Path(name).stat().st_size, Path(name).stat().st_mtime_ns]
            for name in (options.trials, options.mapping)
        ]
        unfinished = UnfinishedTrials(
            options.states,
            options.output,
            [settings, code_digest(__name__), inputs],
            options.state_interval,
        )
        trials.write_presentations(recorded, plan, unfinished)
        fields = trials.fields(recorded, plan, unfinished)
    record = provenance.describe(__name__, settings, [options.mapping], large=[options.trials])
    unfinished.finish(fields, record)
