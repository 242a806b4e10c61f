"""Print what an artifact holds and where it came from.

Example:
    spikeline show results/ablation_regions.tsv
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from spikeline.artifacts import provenance
from spikeline.errors import InputError

if TYPE_CHECKING:
    from spikeline.artifacts.formats.contract import Contract


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="any file that the workflow made")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--contents", action="store_true", help="only what the file holds")
    part.add_argument("--provenance", action="store_true", help="only the record, as JSON")


def run(options: argparse.Namespace) -> None:
    path = Path(options.file)
    record = provenance.read(path)
    if not options.provenance:
        print("\n".join(_contents(path)))
    if not options.contents:
        if not options.provenance:
            # Some sixty lines, which `spikeline explain` reads.
            record.pop("modules", None)
        print(json.dumps(record, indent=1, sort_keys=True))


def _contents(path: Path) -> list[str]:
    if path.is_dir():
        return [f"{item.relative_to(path)}  {item.stat().st_size} bytes" for item in path.iterdir()]
    describe = {
        ".h5": _hdf5,
        ".tsv": _table,
        ".safetensors": _safetensors,
        ".zip": _archive,
        ".json": _evaluation,
        ".txt": lambda path: path.read_text(encoding="utf-8").splitlines(),
    }.get(path.suffix)
    return describe(path) if describe else [f"{path.stat().st_size} bytes"]


def contracts() -> dict[str, Contract]:
    """The contracts of HDF5 files by name."""
    from spikeline.artifacts import counts, embeddings, features, responses, trials, true_rates
    from spikeline.artifacts.images import latents, prompts, reconstructions
    from spikeline.simulate.behaving import store

    found = (
        counts.CONTRACT, embeddings.CONTRACT, embeddings.REDUCED, features.CONTRACT,
        features.NORMALISATION, latents.CONTRACT, prompts.CONTRACT, reconstructions.CONTRACT,
        responses.CONTRACT, responses.TIME_CONTRACT, trials.CONTRACT, true_rates.CONTRACT,
        store.SESSION, store.PICTURES,
    )  # fmt: skip
    return {contract.name: contract for contract in found}


def _hdf5(path: Path) -> list[str]:
    from spikeline.artifacts.formats.hdf5 import contract_name, opened

    with opened(path) as handle:
        name = contract_name(handle)
        lines = [f"contract {name}"]
        contract = contracts().get(name)
        if contract is not None:
            return [*lines, *contract.describe(handle)]
        # Sessions are described by torch_brain's own classes; print what the file says.
        handle.visititems(
            lambda name, item: (
                lines.append(f"{name}  {item.dtype}  {item.shape}")
                if hasattr(item, "shape")
                else None
            )
        )
    return lines


def _table(path: Path) -> list[str]:
    from spikeline.artifacts import tables

    try:
        return [tables.as_text(tables.read(path))]
    except InputError:
        # A training history or a list of captions: no results table, but a table.
        header, *rows = path.read_text(encoding="utf-8").splitlines() or [""]
        return [f"{len(rows)} rows of {', '.join(header.split(chr(9)))}", *rows[-1:]]


def _safetensors(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as handle:
            shapes = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118
            return [f"{name}  {s.get_dtype()}  {s.get_shape()}" for name, s in shapes.items()]
    except SafetensorError:
        raise InputError(f"{path}: is damaged; make it again") from None


def _archive(path: Path) -> list[str]:
    from spikeline.sources import stimuli

    images = stimuli.names(path)
    return [f"{len(images)} images, {images[0]} ... {images[-1]}"]


def _evaluation(path: Path) -> list[str]:
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("provenance", None)
    return [f"{key}: {json.dumps(value)[:100]}" for key, value in content.items()]
