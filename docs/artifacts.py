"""Write the page on every artifact's layout from the contracts that the code reads and checks.

    python docs/artifacts.py > docs/artifacts.md

HDF5 contracts are data, and print themselves; JSON and safetensors ones are told by the docstrings
of the modules that hold their names; paths are those that the rules say they produce.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spikeline.artifacts.formats.contract import Contract, Field
from spikeline.cli.show import contracts

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/spikeline"

HEAD = """\
# Artifacts: what every file holds

Written by `make docs` from the code that reads and checks the files; edit that, not this page.
`spikeline show FILE` prints the same of a file that is there, and where it came from.

Every artifact names its contract and version. HDF5 files have it in the attribute `contract`, JSON
files under the key `contract`, safetensors files as the one key of their header. A file of another
version is refused.
"""


@dataclass(frozen=True)
class Told:
    """A contract that is told in words: its name, module, and the docstrings around it."""

    name: str
    module: str
    text: str


def produced() -> Iterator[tuple[str, str]]:
    """(path, what it holds) of everything that the rules' headers say they produce."""
    for path in sorted((ROOT / "rules").glob("*.smk")):
        header = re.split(r"^[^#]", path.read_text(), maxsplit=1, flags=re.M)[0]
        block = header.partition("# PRODUCES")[2].partition("\n#\n")[0]
        # A description may go on in the next line, below its beginning.
        joined = re.sub(r"\n# {12,}(?! )", " ", block)
        for line in joined.splitlines():
            text = line.removeprefix("#").strip()
            if found := re.fullmatch(r"(\S+?(?:, \.\w+)?)(?:\s{2,}|, | )(.+)", text):
                yield found[1], found[2]


def told() -> list[Told]:
    """All contracts that are a name in a module, in the order of their names."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and re.fullmatch(r"[a-z_]+/\d+", str(node.value.value))
            ):
                module = path.relative_to(ROOT).as_posix()
                found.append(Told(node.value.value, module, "\n\n".join(_docstrings(tree))))
    return sorted(found, key=lambda one: one.name)


def _docstrings(tree: ast.Module) -> Iterator[str]:
    """The module's, and those of its public classes that describe attributes."""
    yield ast.get_docstring(tree) or ""
    for node in tree.body:
        text = (ast.get_docstring(node) or "") if isinstance(node, ast.ClassDef) else ""
        if "Attributes:" in text and not node.name.startswith("_"):
            yield f"`{node.name}`: " + _attributes_as_list(text)


def _attributes_as_list(text: str) -> str:
    """A docstring whose attributes are the items of a list, in Markdown."""
    before, _, after = text.partition("Attributes:\n")
    attributes, _, rest = after.partition("\n\n")
    items = re.sub(r"^ {4}(\w[\w, ]*):", r"- `\1`:", attributes, flags=re.M)
    items = re.sub(r"^ {8}", "  ", items, flags=re.M)
    # What follows are arguments and errors of the code.
    rest = "" if re.match(r"(Args|Raises|Returns):", rest) else rest
    return f"{before.strip()}\n\n{items}\n\n{rest}".strip()


def _row(contract: Contract, field: Field) -> str:
    dims = ", ".join(map(str, field.dims)) or "one value"
    notes = [
        *(["may be absent"] if field.name.partition("/")[0] in contract.optional else []),
        *(["finite"] if field.finite else []),
        *(["distinct"] if field.distinct else []),
    ]
    unit = field.unit.replace("|", r"\|")
    return f"| `{field.name}` | {field.dtype} | {dims} | {unit} | {', '.join(notes)} |"


def _section(contract: Contract) -> str:
    lines = [f"### {contract.name}", "", "| field | type | axes | unit or meaning | |"]
    lines += ["|---|---|---|---|---|", *(_row(contract, field) for field in contract.fields)]
    if contract.attributes:
        lines += ["", "| attribute of the file | type | axes | unit or meaning | |"]
        lines += ["|---|---|---|---|---|", *(_row(contract, one) for one in contract.attributes)]
    if contract.may_be_empty:
        lines += ["", f"May be empty: {', '.join(contract.may_be_empty)}."]
    return "\n".join(lines)


def page() -> str:
    """The whole page, Markdown."""
    files = "\n".join(f"| `{where}` | {what} |" for where, what in produced())
    tables = ast.get_docstring(ast.parse((SOURCE / "artifacts/tables.py").read_text()))
    words = "\n\n".join(f"### {one.name}\n\nIn `{one.module}`.\n\n{one.text}" for one in told())
    hdf5 = "\n\n".join(_section(one) for _, one in sorted(contracts().items()))
    return "\n".join(
        [
            HEAD, "## Files", "", "| path | what it holds |", "|---|---|", files, "",
            "## HDF5", "", "Axes of one name have one length throughout a file.", "", hdf5, "",
            "## JSON, safetensors and torch_brain's sessions", "", words, "",
            "## TSV", "", tables,
        ]
    )  # fmt: skip


if __name__ == "__main__":
    print(page())
