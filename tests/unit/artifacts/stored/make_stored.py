"""Write an artifact of every contract as the package on the path writes it, for later versions.

    PYTHONPATH=src:tests python tests/unit/artifacts/stored/make_stored.py

Run it at each release, before its tag, and commit the folder of that version, which is never
changed again. `index.json` tells a digest of what each file was read as.
"""

from __future__ import annotations

import json
from pathlib import Path

from stored_artifacts import artifacts, digest

import spikeline


def main() -> None:
    folder = Path(__file__).parent / spikeline.__version__
    # Fails where there is one: what a version wrote is not written again.
    folder.mkdir()
    index = {}
    for name, write, read in artifacts():
        write(folder / name)
        index[name] = digest(read(folder / name))
    for picture in (folder / "pictures").iterdir():
        picture.unlink()
    (folder / "pictures").rmdir()
    (folder / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
