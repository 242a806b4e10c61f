"""A table's page: what it says, its figure, its rows, curves, galleries, cost and origins."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spikeline.artifacts import provenance, tables
from spikeline.errors import InputError
from spikeline.report import curves, html
from spikeline.report.costs import Cost, Measured, costs, total
from spikeline.report.lineage import Artifact, lineage
from spikeline.report.summary import kind_of, sentence, summary_row, summary_table

TEXTS = (*tables.TEXT_COLUMNS, "decoder", "behaviour")


def table_page(
    path: str | os.PathLike[str],
    figure: str | os.PathLike[str],
    caption: str | None,
    gallery: str | os.PathLike[str] | None,
    measured: Sequence[Measured],
) -> str:
    """The page of one table, complete in itself.

    Args:
        path: of the table; figure: of its figure.
        caption: its sentences, which follow that of the summary; None where it has none.
        gallery: images shown and given back, where it has some.
        measured: rules with a benchmark.

    Raises:
        InputError: the table carries no provenance, or is of no known kind.
    """
    path = Path(path)
    table, record = read(path), provenance.read(path)
    title = record["settings"].get("title") or path.stem
    behind = lineage([path])
    (row,) = summary_table([summary_row(path.stem, title, table)]).to_dict("records")
    headline = sentence(row)
    names = [*TEXTS, *varied(table)]
    main = [*(n for n in table if n in names and n != "similarity_unit"), *kind_of(table).main]
    parts = [
        f"<p><strong>{html.words(headline)}</strong></p>",
        html.paragraphs(caption or ""),
        html.section("Figure", html.picture(figure, f"{title} {headline}")),
        html.section("Rows", html.sortable(table, names, main)),
    ]
    found = curves.histories(behind)
    if gallery is not None:
        parts.append(html.section("Gallery", html.picture(gallery, f"{title} Gallery of images")))
    if found:
        hidden = len(found) - curves.MOST
        note = f"<p>{hidden} more models are not drawn.</p>" if hidden > 0 else ""
        image = html.embedded(curves.png(curves.draw(found)), "validation score by epoch")
        told = "<p>One line for each seed; the dot is the epoch whose weights were kept.</p>"
        parts.append(html.section("Training curves", told + image + note))
    parts += [
        html.section("Cost", cost_table(costs(behind, measured))),
        html.section("Data", origins([record])),
        html.section("Settings", _json(record["settings"]), closed=True),
        html.section("Files and digests", _digests(behind), closed=True),
        html.section("Versions", versions(behind), closed=True),
    ]
    return html.page(title, "\n".join(parts))


def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A table of any kind, names as text and all else as numbers.

    Raises:
        InputError: missing, empty, or no table.
    """
    table = tables.read(path)
    if table.empty:
        raise InputError(f"{path}: has no rows; delete it and rerun")
    return table


def varied(table: pd.DataFrame) -> list[str]:
    """The settings that a table varies; a table of decoders of behaviour has none."""
    return tables.varied_columns(table)


def cost_table(rows: Sequence[Cost]) -> str:
    """Seconds by step, and what they leave out."""
    if not any(row.measured for row in rows):
        return "<p>No benchmark of the jobs behind this table is at hand.</p>"
    shown = [*rows, total(rows)] if len(rows) > 1 else rows
    lines = pd.DataFrame(
        [(r.step, r.jobs, r.measured, r.cpu_s, r.gpu_s, r.wall_s) for r in shown],
        columns=["step", "jobs", "measured", "CPU_s", "GPU_s", "wall_s"],
    )
    text = (
        "Seconds of the jobs whose rules are measured, summed: of processors, on a GPU, and from "
        "start to end. A job that several tables share counts in each."
    )
    missing = sum(row.jobs - row.measured for row in rows)
    if missing:
        text += f" {missing} jobs ran elsewhere, or their benchmarks are gone: they are left out."
    return html.paragraphs(text) + plain(lines, ["step"])


def plain(table: pd.DataFrame, texts: Sequence[str] = ()) -> str:
    """A sortable table with all of its columns."""
    return html.sortable(table, texts)


def origins(records: Iterable[Mapping[str, Any]]) -> str:
    """Where the data came from: each origin with its commit or checksum."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        for name, origin in record.get("origins", {}).items():
            # Tables that read other files of one data set name those alone.
            before = found.get(name, {}).get("files") or {}
            found[name] = {**origin, "files": {**before, **(origin.get("files") or {})}}
    rows = []
    for name, origin in found.items():
        proofs = ("commit", "sha256", "md5", "revision", "size")
        proof = [f"{key} {origin[key]}" for key in proofs if origin.get(key)]
        proof += [f"{file}: {key}" for file, key in origin["files"].items()]
        rows.append((name, "; ".join(proof)))
    lines = pd.DataFrame(rows, columns=["origin", "commit or checksum"])
    return plain(lines, list(lines)) if rows else "<p>No origin is recorded.</p>"


def _digests(behind: Sequence[Artifact]) -> str:
    """Every file behind the table, with its step, the digest of its code and its checksum."""
    sums: dict[str, str] = {}
    for artifact in behind:
        sums |= artifact.record.get("inputs", {})
    rows = [
        (one.path, one.step, one.record.get("code", ""), sums.get(one.path, "")) for one in behind
    ]
    lines = pd.DataFrame(rows, columns=["file", "step", "code", "sha256"])
    return plain(lines, list(lines))


def versions(behind: Sequence[Artifact]) -> str:
    """Versions of the software that made the files behind the table, those that differ together."""
    found: dict[str, dict[str, None]] = {}
    for artifact in behind:
        for name, version in artifact.record.get("versions", {}).items():
            found.setdefault(name, {})[version] = None
    rows = [(name, ", ".join(versions)) for name, versions in found.items()]
    lines = pd.DataFrame(rows, columns=["software", "version"])
    return plain(lines, list(lines))


def _json(value: Any) -> str:
    return f"<pre><code>{html.escape(json.dumps(value, indent=1, sort_keys=True))}</code></pre>"
