r"""Train the demo's tiny CLIP on images and captions; saved in open_clip's local-dir format.

Example:
    spikeline train-clip --images resources/stimuli/twin_images.zip \
      --captions resources/captions/twin_images.tsv --settings '{"epochs": 20}' \
      --output demo_clip
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from spikeline.artifacts.files import atomic_folder
from spikeline.artifacts.provenance import describe, write_beside
from spikeline.cli._options import add_settings, settings_of, start_log
from spikeline.errors import InputError
from spikeline.sources import archives
from spikeline.sources.pictures import decoded

logger = logging.getLogger(__name__)

_COLUMNS = ("things_path", "caption", "split")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("--images", type=Path, required=True, help="zip of the images")
    parser.add_argument(
        "--captions",
        type=Path,
        required=True,
        help="table with the columns things_path, caption and split (train or test)",
    )
    add_settings(parser, "train-clip")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")


def read_captions(path: Path) -> list[dict[str, str]]:
    """Rows of a caption table.

    Raises:
        InputError: the table is missing, lacks a column, or has no row of a split.
    """
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a table of captions") from None
    except (OSError, ValueError, csv.Error):
        raise InputError(f"{path}: is not UTF-8 text; give a tab-separated table") from None
    if not rows or any(rows[0].get(column) is None for column in _COLUMNS):
        raise InputError(f"{path}: needs the tab-separated columns {', '.join(_COLUMNS)}")
    for split in ("train", "test"):
        if not any(row["split"] == split for row in rows):
            raise InputError(f"{path}: has no row whose split is {split}; add some")
    return rows


def read_images(path: Path, names: Sequence[str]) -> Iterator[Image.Image]:
    """Images of a zip by name, one by one; a leading folder `object_images/` does not count.

    Raises:
        InputError: no zip, or an image is missing or cannot be read.
    """
    with archives.opened(path) as archive:
        members = {name.removeprefix("object_images/"): name for name in archive.namelist()}
        for name in names:
            if name not in members:
                raise InputError(f"{path}: holds no {name}; the captions name it")
            yield decoded(archives.content(archive, members[name]), f"{path}: {name}")


def run(args: argparse.Namespace) -> None:
    """Train on the rows whose split is train; report the held-out score on the others."""
    from spikeline.simulate import clip
    from spikeline.training.device import choose_device

    start_log()
    settings = clip.ClipSettings(**settings_of(args, "train-clip"))
    device = choose_device(args.device)
    rows = read_captions(args.captions)
    pairs = {}
    for split in ("train", "test"):
        mine = [row for row in rows if row["split"] == split]
        images = read_images(args.images, [row["things_path"] for row in mine])
        pairs[split] = (
            clip.preprocess(images, len(mine), settings), [row["caption"] for row in mine],
        )  # fmt: skip

    with tqdm(total=settings.epochs, desc=f"train-clip ({device.type})", unit="epoch") as bar:

        def progress(epoch: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}")
            bar.update()

        model = clip.train_clip(*pairs["train"], settings, device, progress)
    score = clip.image_to_caption(model, *pairs["test"], settings)
    logger.info("held-out image-to-caption top-1: %.2f of %d", score, len(pairs["test"][1]))
    provenance = describe(
        "spikeline.cli.train_clip",
        dataclasses.asdict(settings),
        inputs=(args.images, args.captions),
        image_to_caption_top1=score,
    )
    with atomic_folder(args.output) as folder:
        clip.save_clip(model, settings, folder)
        write_beside(folder, provenance)
