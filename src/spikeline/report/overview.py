"""The first page: what was run on which data, each table in a sentence, costs, sessions, versions.

The same words are written twice: as a page of its own, and as a fragment without style or script
that Snakemake's report opens with.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spikeline import __version__
from spikeline.artifacts import provenance
from spikeline.report import html
from spikeline.report.costs import Measured, costs, total
from spikeline.report.lineage import Artifact, lineage
from spikeline.report.pages import cost_table, origins, plain, versions
from spikeline.report.reported import COLUMNS, NUMBERS
from spikeline.report.summary import TEXTS, sentence

TWINS = ("resources/twins/", "simulated ")
SIMULATED = (
    "Some of these recordings are simulated: figures from them describe the simulator, not a brain."
)
# Columns of the summary that are shown at first.
MAIN = (
    "table", "subject", "metric", "reference_model", "reference", "best_model", "best_of", "best",
    "difference", "verdict", "CPU_s", "GPU_s",
)  # fmt: skip


def overview(
    summary: str | os.PathLike[str],
    tables: Sequence[str | os.PathLike[str]],
    sessions: str | os.PathLike[str] | None,
    reported: str | os.PathLike[str] | None,
    measured: Sequence[Measured],
) -> tuple[str, str]:
    """The page and the fragment.

    Args:
        summary: table of tables; tables: those it tells of.
        sessions: table of sessions; reported: table of what others reported.
        measured: rules with a benchmark.

    Raises:
        InputError: a table carries no provenance.
    """
    rows = _read(summary, TEXTS)
    behind = {Path(path).stem: lineage([path]) for path in tables}
    records = [provenance.read(path) for path in tables]
    together = list({one.path: one for found in behind.values() for one in found}.values())
    said = _headlines(rows) + _twins(records)
    parts = [
        html.section("What was found", said),
        html.section("Tables", html.sortable(_with_costs(rows, behind, measured), TEXTS, MAIN)),
        html.section("Data", origins(records)),
    ]
    if sessions is not None:
        texts = ("session", "subject", "source", "regions", "behaviour")
        parts.append(html.section("Sessions", plain(_read(sessions, texts), texts)))
    if reported is not None:
        parts.append(html.section("What others reported", _others(reported)))
    parts += [
        html.section("Cost of all tables together", cost_table(costs(together, measured))),
        html.section("Versions", versions(together), closed=True),
    ]
    names = [str(name) for name in rows["table"]]
    count = f"{len(names)} table{'s' * (len(names) != 1)}"
    intro = f"<p>{count} made by Spikeline {html.escape(__version__)}: {', '.join(names)}.</p>"
    front = "\n".join([intro, said, _data(records), _cost_sentence(together, measured)])
    return html.page("What was run, and what it showed", intro + "\n".join(parts)), front


def _headlines(rows: pd.DataFrame) -> str:
    """A sentence for each table, generated from its numbers."""
    items = "".join(
        f"<li><strong>{html.escape(row['title'])}</strong> ({html.escape(row['table'])}) "
        f"{html.words(sentence(row))}</li>\n"
        for row in rows.to_dict("records")
    )
    return f"<ul>\n{items}</ul>\n"


def _twins(records: Sequence[Mapping[str, Any]]) -> str:
    names = [name for record in records for name in record.get("origins", {})]
    simulated = any(twin in name for name in names for twin in TWINS)
    return f"<p><strong>{SIMULATED}</strong></p>" if simulated else ""


def _data(records: Sequence[Mapping[str, Any]]) -> str:
    """Where the data came from, in one sentence."""
    names = sorted({name for record in records for name in record.get("origins", {})})
    shown = [html.words(name) for name in names[:12]]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"<p>Data: {', '.join(shown)}{more}.</p>" if names else ""


def _cost_sentence(behind: Sequence[Artifact], measured: Sequence[Measured]) -> str:
    cost = total(costs(behind, measured))
    if not cost.measured:
        return ""
    return (
        f"<p>Cost of the {cost.measured} measured jobs behind them (of {cost.jobs}): "
        f"{cost.cpu_s:,.0f} CPU seconds, {cost.gpu_s:,.0f} GPU seconds.</p>"
    )


def _with_costs(
    rows: pd.DataFrame, behind: Mapping[str, Sequence[Artifact]], measured: Sequence[Measured]
) -> pd.DataFrame:
    """The summary, and what each table cost; nothing where no job of it was measured."""
    sums = [total(costs(behind.get(name, []), measured)) for name in rows["table"]]
    told = {
        "CPU_s": [cost.cpu_s if cost.measured else None for cost in sums],
        "GPU_s": [cost.gpu_s if cost.measured else None for cost in sums],
    }
    return rows.assign(**{name: pd.to_numeric(pd.Series(values)) for name, values in told.items()})


def _others(path: str | os.PathLike[str]) -> str:
    """Figures of others, and how many of them have one of ours beside them."""
    texts = [name for name in COLUMNS if name not in NUMBERS]
    table = _read(path, texts)
    beside = int(table["ours"].notna().sum())
    words = (
        f"{len(table)} figures; ours stand beside {beside} of them: where the same recordings "
        "were run here, never from other data."
    )
    main = [name for name in table if name not in ("system", "definition", "note")]
    return html.paragraphs(words) + html.sortable(table, texts, main)


def _read(path: str | os.PathLike[str], texts: Sequence[str]) -> pd.DataFrame:
    """A table with these columns as text, an empty cell as no text; all others are numbers."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return table.assign(**{n: pd.to_numeric(table[n]) for n in table if n not in texts})
