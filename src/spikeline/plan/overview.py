"""What people look at: which tables have a page, what goes into it, what the first page lists."""

from __future__ import annotations

from spikeline.plan.ablations import WHEEL, Ablations
from spikeline.plan.config import Config
from spikeline.plan.locations import flag
from spikeline.plan.patterns import one_of
from spikeline.plan.reconstruction.reconstructions import SYSTEM as RECONSTRUCTION

SYSTEMS = ("bridge", RECONSTRUCTION, "horizon")
PAGE = "results/pages/{table}.html"
SESSIONS = "results/sessions.tsv"


class Overview:
    """The pages of a config's tables."""

    def __init__(self, config: Config, ablations: Ablations):
        self.config, self.ablations = config, ablations

    @property
    def known(self) -> str:
        """A pattern of the names of all tables that can be made."""
        names = [self.ablations.table(name) for name in self.config["ablations"]]
        return one_of([*names, WHEEL])

    def tables(self) -> list[str]:
        """The tables that the config asks for, of every system."""
        return [path for system in SYSTEMS for path in self.ablations.tables(system)]

    def pages(self) -> list[str]:
        """The page of each of them."""
        return [PAGE.format(table=_name(path)) for path in self.tables()]

    def described(self) -> list[str]:
        """What a crate of the run holds: tables, figures, pages, and the tables about them."""
        figures = [f"{path.removesuffix('.tsv')}.png" for path in self.tables()]
        about = ["results/summary.tsv", "results/reported.tsv", "results/overview.html"]
        return [*self.tables(), *figures, *self.pages(), *about, *self.listed_sessions()]

    def category(self, table: str) -> str:
        """The chapter of the report that a table belongs to."""
        return "Horizon" if self._system(table) == "horizon" else "Bridge"

    def labels(self, table: str) -> dict[str, str]:
        """How a page is listed, next to the table and the figure of the same ablation."""
        name = table if table == WHEEL else self.ablations.of_table(table)
        return {"ablation": name, "what": "page"}

    def captions(self, table: str) -> list[str]:
        """The sentences of a table; that of the wheel has none."""
        return [] if table == WHEEL else [f"results/{table}.txt"]

    def galleries(self, table: str) -> list[str]:
        """The pictures that go with a table of images given back."""
        return [f"results/{table}.gallery.png"] if self._system(table) == RECONSTRUCTION else []

    def caption_arguments(self, table: str) -> list[str]:
        return [part for path in self.captions(table) for part in flag("--caption", path)]

    def gallery_arguments(self, table: str) -> list[str]:
        return [part for path in self.galleries(table) for part in flag("--gallery", path)]

    def sessions(self) -> list[str]:
        """Every session of the config."""
        return [f"results/sessions/{session}.h5" for session in self.config["sessions"]]

    def listed_sessions(self) -> list[str]:
        """The table of sessions, where one of the tables is about sessions."""
        return [SESSIONS] if self.ablations.tables("horizon") else []

    def sessions_arguments(self) -> list[str]:
        return [part for path in self.listed_sessions() for part in flag("--sessions", path)]

    def _system(self, table: str) -> str:
        if table == WHEEL:
            return "horizon"
        return self.ablations.system(self.ablations.of_table(table))


def _name(path: str) -> str:
    return path.removeprefix("results/").removesuffix(".tsv")
