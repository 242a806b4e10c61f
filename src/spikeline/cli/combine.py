r"""Join decoders of one subject and encoder to an ensemble.

Example:
    spikeline combine --decoders results/decoders/mlp/monkeyF/seed*.safetensors --seed 0 \
      --output ensemble.safetensors
"""

from __future__ import annotations

import argparse

from spikeline.artifacts import provenance
from spikeline.artifacts.responses import resolution
from spikeline.bridge.decoder import Decoder, combine
from spikeline.cli._options import add_output, start_log
from spikeline.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decoders", required=True, nargs="+", metavar="FILE", help="the members")
    parser.add_argument("--seed", required=True, type=int, help="of the replicate")
    add_output(parser, "decoder, safetensors")


def run(options: argparse.Namespace) -> None:
    start_log()
    members = [Decoder.load(path) for path in options.decoders]
    encoders = {member.metadata["encoder"] for member in members}
    if len(encoders) != 1:
        raise InputError(f"--decoders: trained with several encoders, {sorted(encoders)}; use one")
    read = {resolution(member.metadata.get("edges")) for member in members}
    if len(read) != 1:
        raise InputError(f"--decoders: trained on {' and on '.join(sorted(read))}; use one")
    settings = {"of": [member.metadata["settings"] for member in members]}
    record = provenance.describe(__name__, settings, options.decoders, seed=options.seed)
    edges = members[0].metadata.get("edges")
    metadata = {"encoder": encoders.pop(), "edges": edges, "settings": settings}
    combine(members).save(options.output, metadata, record)
