r"""Encode the captions of a stimulus set, or its class names, to a text encoder's states.

Example:
    spikeline encode-prompts --captions resources/captions/many_images.tsv \
      --clip resources/encoders/demo_clip_wide --output prompts.h5
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.artifacts.images import prompts
from spikeline.cli._options import add_output, start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("--captions", help="table with the columns things_path and caption")
    text.add_argument("--responses", help="responses, HDF5: the categories of their images")
    encoder = parser.add_mutually_exclusive_group(required=True)
    encoder.add_argument("--generator", metavar="DIR", help="a pipeline that has a text encoder")
    encoder.add_argument("--clip", metavar="DIR", help="a CLIP in open_clip's local-dir format")
    parser.add_argument("--batch-size", type=int, default=256, help="prompts at once (256)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    add_output(parser, "prompts, HDF5")


def run(options: argparse.Namespace) -> None:
    from spikeline.artifacts import responses
    from spikeline.bridge.generators import text_encoder
    from spikeline.bridge.generators.prompts import encode_captions
    from spikeline.sources.captions import class_names, read_captions
    from spikeline.training.device import choose_device

    start_log()
    device = choose_device(options.device)
    if options.captions:
        images, captions = read_captions(options.captions)
    else:
        recorded = responses.read(options.responses)
        images, captions = class_names(recorded.images, recorded.categories, options.responses)
    load = text_encoder.from_clip if options.clip else text_encoder.of_pipeline
    parts = load(options.clip or options.generator)
    encoded = encode_captions(images, captions, *parts, device, options.batch_size)
    inputs = [options.captions or options.responses, options.clip or options.generator]
    prompts.write(options.output, encoded, provenance.describe(__name__, {}, inputs))
