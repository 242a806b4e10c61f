r"""Convert your own arrays (.npy or .csv) and image names to a responses artifact.

Example:
    spikeline convert-arrays --responses responses.npy --images images.txt \
      --stimuli resources/stimuli/mine.zip \
      --settings '{"regions": {"V4": [[0, 64]], "IT": [[64, 128]]}}' --output mine.h5
"""

from __future__ import annotations

import argparse

import numpy as np

from spikeline.artifacts import provenance, responses
from spikeline.cli._options import add_output, add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.sources import arrays, stimuli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--responses", required=True, help="images x electrodes, .npy or .csv")
    parser.add_argument("--stimuli", required=True, help="the packed images")
    parser.add_argument("--images", help="text file, one image name per row; default: sorted names")
    parser.add_argument("--test-responses", help="[repetitions x] images x electrodes")
    parser.add_argument("--test-images", help="text file, one image name per test row")
    add_settings(parser, "convert-arrays")
    add_output(parser, "responses, HDF5")


def run(options: argparse.Namespace) -> None:
    start_log()
    settings = settings_of(options, "convert-arrays")
    images = known = stimuli.names(options.stimuli)
    if options.images:
        images = _listed(options.images, known, options.stimuli)
    test_values = test_images = None
    if options.test_images and not options.test_responses:
        raise InputError("--test-images: names the rows of --test-responses, which is missing")
    if options.test_responses:
        test_values = arrays.read_array(options.test_responses)
        if options.test_images:
            test_images = _listed(options.test_images, known, options.stimuli)
    converted = arrays.responses_from_arrays(
        arrays.read_array(options.responses),
        images,
        settings["regions"],
        options.responses,
        test_values=test_values,
        test_images=test_images,
        test_where=options.test_responses,
        splits=settings["splits"],
        test_size=settings["test_images"],
    )
    inputs = [options.responses, options.stimuli, options.images, options.test_responses]
    inputs = [path for path in [*inputs, options.test_images] if path]
    responses.write(options.output, converted, provenance.describe(__name__, settings, inputs))


def _listed(path: str, known: np.ndarray, packed: str) -> np.ndarray:
    """The image names in a list, all of them among the packed images."""
    listed = arrays.read_names(path)
    missing = sorted(set(listed) - set(known))
    if missing:
        raise InputError(
            f"{path}: {missing[0]!r} is none of the {len(known)} images of {packed}, and "
            f"{len(missing) - 1} more; write names as they stand there, {known[0]!r} for one"
        )
    return listed
