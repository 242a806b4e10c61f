"""The cluster table that Phy keeps next to spike times and clusters: which are good units."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from spikeline.errors import InputError

IDS = ("cluster_id", "id", "cluster")
LABELS = ("group", "label", "KSLabel")
REGIONS = ("region", "brain_region", "acronym", "area")
DEPTHS = ("depth", "depths")


def read_clusters(path: str | os.PathLike[str], good: str) -> tuple[dict[str, np.ndarray], bool]:
    """Columns cluster, id, region, depth and good of a .tsv or .csv file with a header.

    Args:
        good: the label of a unit to keep; a table without labels keeps all.

    Returns:
        the columns, and whether the table names every cluster: one of ids and labels alone
        (cluster_group.tsv) leaves out unlabelled clusters.

    Raises:
        InputError: no such file, no column of cluster ids, or ids that are not distinct integers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; correct the path in the config")
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            delimiter = "," if path.suffix == ".csv" else "\t"
            rows = list(csv.DictReader(handle, delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: is not text, expected .tsv or .csv with a header") from None
    columns = list(rows[0]) if rows else []
    key = next((name for name in IDS if name in columns), None)
    if key is None:
        raise InputError(f"{path}: has columns {columns}, expected one of {list(IDS)}")
    try:
        cluster = np.asarray([int(row[key]) for row in rows])
    except (TypeError, ValueError):
        raise InputError(f"{path}: column {key} holds no whole numbers") from None
    if cluster.min() < 0 or len(np.unique(cluster)) < len(cluster):
        raise InputError(f"{path}: column {key} holds a negative or repeated cluster index")
    order = np.argsort(cluster)
    rows, cluster = [rows[row] for row in order], cluster[order]
    label = next((name for name in LABELS if name in columns), None)
    region = next((name for name in REGIONS if name in columns), None)
    depth = next((name for name in DEPTHS if name in columns), None)
    table = {
        "cluster": cluster,
        "id": cluster.astype(str),
        "region": np.asarray([(row[region] or "") if region else "" for row in rows], np.str_),
        "depth": np.asarray([_number(row[depth]) if depth else np.nan for row in rows], np.float32),
        "good": np.asarray([label is None or row[label] == good for row in rows], bool),
    }
    return table, bool(set(columns) - {*IDS, *LABELS})


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
