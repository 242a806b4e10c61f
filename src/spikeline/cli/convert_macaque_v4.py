r"""Convert a session of the public macaque V4 set to a responses artifact.

Example:
    spikeline convert-macaque-v4 --responses responses_201025.npy \
      --stimuli resources/stimuli/natural.zip --settings '{"splits": 5, "test_images": 100}' \
      --output session_201025.h5
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance, responses
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.sources import arrays, macaque_v4, stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="neurons x images, .npy")
    parser.add_argument("--stimuli", required=True, help="the packed images")
    add_settings(parser, "convert-macaque-v4")
    add_output(parser, "responses, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "convert-macaque-v4")
    converted = macaque_v4.responses_of_session(
        arrays.read_array(options.responses),
        stimuli.first_names(options.stimuli),
        settings["splits"],
        settings["test_images"],
        options.responses,
    )
    record = provenance.describe(__name__, settings, [options.responses, options.stimuli])
    responses.write(options.output, converted, record)
