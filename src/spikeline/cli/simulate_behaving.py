r"""Simulate the behaving twin: sessions of spiking units, with the true rates kept aside.

Example:
    spikeline simulate-behaving \
      --settings '{"ibl_sessions": 2, "allen_sessions": 0, "duration_s": 300}' \
      --output simulation
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from tqdm import tqdm

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.cli._options import add_settings, settings_of, start_log
from spikeline.simulate.behaving import store
from spikeline.simulate.behaving.pictures import draw_movie, draw_scenes
from spikeline.simulate.behaving.sessions import simulate
from spikeline.simulate.behaving.settings import BehavingSettings, plans


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    add_settings(parser, "simulate-behaving")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to make")


def run(options: argparse.Namespace) -> None:
    """Write every session next to its place, then move the folder there."""
    start_log()
    settings = BehavingSettings(**settings_of(options, "simulate-behaving"))
    record = provenance.describe(
        __name__,
        dataclasses.asdict(settings),
        origin={"name": f"simulated behaving twin, seed {settings.seed}"},
    )
    shape = (settings.image_height, settings.image_width, settings.seed)
    scenes = draw_scenes(settings.scenes, *shape)
    movie = draw_movie(settings.movie_frames, *shape)
    pictures = np.concatenate([scenes, movie])
    with atomic_folder(options.output) as folder:
        store.write_pictures(folder, scenes, movie, record)
        for plan in tqdm(plans(settings), desc="simulate-behaving", unit="session"):
            store.write_session(folder, simulate(plan, settings, pictures), record)
        provenance.write_beside(folder, record)
