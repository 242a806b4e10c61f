"""Compare every table of two checkouts, cell by cell: for changes that must change no result.

    python benchmarks/compare_tables.py BEFORE AFTER

Prints a line for each table of either folder's results/: identical, or the cells that differ. The
exit status is 0 only if all are identical.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

MOST_SHOWN = 8


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a table, as text."""
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def differences(before: Path, after: Path) -> list[str]:
    """What differs between two tables, a sentence each; none if they are identical."""
    for path, other in ((before, after), (after, before)):
        if not path.is_file():
            return [f"only in {other.parent}"]
    if before.read_bytes() == after.read_bytes():
        return []
    one, two = read(before), read(after)
    if len(one) != len(two):
        return [f"{len(one)} rows before, {len(two)} after"]
    found = []
    for number, (old, new) in enumerate(zip(one, two, strict=True), start=1):
        for column in dict.fromkeys([*old, *new]):
            if old.get(column) != new.get(column):
                name = old.get("model") or old.get("decoder") or ""
                where = f"row {number} ({name}), {column}"
                found.append(f"{where}: {old.get(column)} before, {new.get(column)} after")
    return found or ["the same cells, written otherwise"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, help="a checkout in which tables were made")
    parser.add_argument("after", type=Path, help="another one")
    options = parser.parse_args()
    folders = [folder / "results" for folder in (options.before, options.after)]
    names = sorted({path.name for folder in folders for path in folder.glob("*.tsv")})
    if not names:
        sys.exit(f"{folders[0]}: holds no table; make some first")
    odd = 0
    for name in names:
        found = differences(*(folder / name for folder in folders))
        odd += bool(found)
        print(f"{name}: {'identical' if not found else f'{len(found)} differences'}")
        for line in found[:MOST_SHOWN]:
            print(f"    {line}")
        if len(found) > MOST_SHOWN:
            print(f"    and {len(found) - MOST_SHOWN} more")
    print(f"{len(names) - odd} of {len(names)} tables are identical")
    sys.exit(odd > 0)


if __name__ == "__main__":
    main()
