"""What earlier versions wrote is read as it was, or the error names the version that reads it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from stored_artifacts import artifacts, digest

from spikeline.artifacts import counts, evaluations, provenance
from spikeline.artifacts.formats import json_file, safetensors_file
from spikeline.bridge.decoder import Decoder
from spikeline.errors import InputError

STORED = Path(__file__).parent / "stored"
VERSIONS = sorted(path.name for path in STORED.iterdir() if (path / "index.json").is_file())
READERS = {name: read for name, _, read in artifacts()}
# Artifacts that are of another contract now: {file: contract}. What is stored of them is refused.
RAISED: dict[str, str] = {}


def index(version):
    return json.loads((STORED / version / "index.json").read_text())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", READERS)
def test_an_artifact_of_an_earlier_version_is_read_as_it_was(version, name):
    path = STORED / version / name
    if name in RAISED:
        with pytest.raises(InputError, match=f"spikeline {version} wrote it and reads it"):
            READERS[name](path)
    elif path.exists():
        assert digest(READERS[name](path)) == index(version)[name]
        assert provenance.read(path)["versions"]["spikeline"] == version


def test_every_contract_in_the_code_has_a_stored_artifact(repository):
    code = "".join(path.read_text() for path in (repository / "src").rglob("*.py"))
    contracts = set(re.findall(r'^(?:CONTRACT = |    )"([a-z_]+/\d+)",?$', code, re.M))
    held = b"".join((STORED / VERSIONS[-1] / name).read_bytes() for name in index(VERSIONS[-1]))
    assert len(contracts) > 20
    assert {name for name in contracts if name.encode() not in held} == set(RAISED.values())


def test_a_file_of_another_version_of_a_contract_names_the_version_that_reads_it(monkeypatch):
    folder = STORED / VERSIONS[0]
    told = f"spikeline {VERSIONS[0]} wrote it and reads it"
    raised = dataclasses.replace(counts.CONTRACT, name="counts/9")
    with pytest.raises(InputError, match=rf"'counts/1', expected 'counts/9'; {told}"):
        raised.read(folder / "counts.h5")
    with pytest.raises(InputError, match=told):
        json_file.read(folder / "evaluations.json", "evaluations/9")
    with pytest.raises(InputError, match=told):
        safetensors_file.read(folder / "decoder.safetensors", "decoder/9")
    for read, name in (
        (evaluations.read, "forecasts.json"),
        (Decoder.load, "pretrained.safetensors"),
    ):
        with pytest.raises(InputError, match=r"holds '.*', expected '.*'; make it again"):
            read(folder / name)
