"""Pieces of self-contained HTML: escaped text, tables that sort, pictures inside the page."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from spikeline.errors import InputError

ENDS = ("_low", "_high")
# With fewer rows there is nothing to filter.
FILTERED = 6


def page(title: str, body: str) -> str:
    """A whole page with its style and script inside: it needs no network and no other file."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # No request for an icon: the page is complete.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{asset('style.css')}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n"
        f"<script>\n{asset('sort.js')}</script>\n</body>\n</html>\n"
    )


def asset(name: str) -> str:
    """The text of a file of this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def section(title: str, body: str, closed: bool = False) -> str:
    """A section with its heading; one that is `closed` opens at a click."""
    if closed:
        return f"<details>\n<summary><h2>{escape(title)}</h2></summary>\n{body}\n</details>"
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def words(text: str) -> str:
    """Escaped text that may end a line before a model's overrides, which are long."""
    return escape(text).replace("@", "<wbr>@")


def paragraphs(text: str) -> str:
    """Each line as a paragraph."""
    return "\n".join(f"<p>{words(line)}</p>" for line in text.splitlines() if line.strip())


def picture(path: str | os.PathLike[str], alternative: str) -> str:
    """A PNG as part of the page.

    Raises:
        InputError: no PNG.
    """
    content = Path(path).read_bytes()
    if not content.startswith(b"\x89PNG"):
        raise InputError(f"{path}: is no PNG; delete it and rerun")
    return embedded(content, alternative)


def embedded(png: bytes, alternative: str) -> str:
    """The bytes of a PNG as part of the page."""
    code = base64.b64encode(png).decode()
    image = f'<img src="data:image/png;base64,{code}" alt="{escape(alternative)}">'
    return f'<div class="picture">{image}</div>'


def sortable(table: pd.DataFrame, texts: Sequence[str] = (), main: Sequence[str] = ()) -> str:
    """A table whose columns sort at a click, with a field that filters its rows.

    The ends of an interval stand in the cell of their number, and are no columns.

    Args:
        table: as `artifacts.tables.read` gives it.
        texts: columns that hold text; all others are numbers.
        main: columns that are shown at first; all where there are none.
    """
    ends = {f"{name}{end}" for name in table for end in ENDS}
    columns = [name for name in table if name not in ends and not _empty(table[name])]
    further = [name for name in columns if main and name not in main]
    head = "".join(_heading(name, name in texts, name in further) for name in columns)
    rows = [
        "<tr>"
        + "".join(_cell(row, name, name in texts, name in further) for name in columns)
        + "</tr>"
        for row in table.to_dict("records")
    ]
    toggle = (
        f'<label><input type="checkbox" class="more"> all {len(columns)} columns</label>'
        if further
        else ""
    )
    tools = (
        '<div class="tools">'
        '<input type="search" placeholder="filter rows" aria-label="filter rows">'
        f'{toggle}<span class="count" aria-live="polite"></span></div>\n'
        if toggle or len(rows) > FILTERED
        else ""
    )
    return (
        f'<div class="table">\n{tools}'
        f'<div class="scroll"><table class="sortable">\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody>\n</table></div>\n</div>"
    )


def _empty(column: pd.Series) -> bool:
    return bool(column.isna().all() or (column == "").all())


def _classes(*chosen: str) -> str:
    names = " ".join(name for name in chosen if name)
    return f' class="{names}"' if names else ""


def _heading(name: str, text: bool, further: bool) -> str:
    label = escape(name.replace("_", " "))
    classes = _classes("" if text else "number", "further" if further else "")
    return f'<th scope="col"{classes}><button type="button">{label}</button></th>'


def _cell(row: dict[str, Any], name: str, text: bool, further: bool) -> str:
    value = row[name]
    classes = _classes("" if text else "number", "further" if further else "")
    if text or isinstance(value, str):
        return f"<td{classes}>{words(str(value))}</td>"
    if value is None or math.isnan(value):
        return f"<td{classes}></td>"
    shown = number(value)
    low, high = (row.get(f"{name}{end}") for end in ENDS)
    if low is not None and high is not None and not (math.isnan(low) or math.isnan(high)):
        shown += f' <span class="interval">[{number(low)}, {number(high)}]</span>'
    return f'<td{classes} data-value="{float(value)!r}">{shown}</td>'


def number(value: float) -> str:
    """A number as people read it: counts whole, large ones by thousands, others to 3 decimals."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.3f}"
