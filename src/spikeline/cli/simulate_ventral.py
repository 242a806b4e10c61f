r"""Simulate the ventral twin, monkeys or images alone, as a DataLad dataset in TVSD's layout.

Example:
    spikeline simulate-ventral \
      --settings '{"image_size": 64, "subjects": {"monkeyF": {"regions": {"IT": [[0, 64]]}}}}' \
      --output twin
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from tqdm import tqdm

from spikeline.artifacts.files import atomic_folder
from spikeline.artifacts.provenance import describe
from spikeline.cli._options import add_settings, settings_of
from spikeline.simulate.dataset import write_twin
from spikeline.simulate.settings import TwinSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    add_settings(parser, "simulate-ventral")
    parser.add_argument("--output", type=Path, required=True, help="folder of the dataset")


def run(args: argparse.Namespace) -> None:
    """Write the dataset next to its place, then move it there."""
    settings = TwinSettings.of(settings_of(args, "simulate-ventral"))
    name = f"simulated ventral twin, seed {settings.seed}"
    provenance = describe(
        "spikeline.cli.simulate_ventral", dataclasses.asdict(settings), origin={"name": name}
    )
    stages = 4 + len(settings.subjects)
    with tqdm(total=stages, desc="simulate-ventral", unit="stage") as bar:

        def progress(stage: str) -> None:
            bar.n += bool(bar.postfix)
            bar.set_postfix_str(stage)

        with atomic_folder(args.output) as folder:
            write_twin(folder, settings, provenance, progress)
        bar.update()
