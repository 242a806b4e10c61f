"""Pickles, references into other files, false sizes and endless nesting: refused, and never run."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile

import h5py
import numpy as np
import pytest
import torch
from artifact_examples import examples
from session_examples import RECORD, make
from stored_artifacts import artifacts

from spikeline.artifacts import provenance, sessions, tables
from spikeline.cli._options import json_of
from spikeline.cli.main import main
from spikeline.errors import InputError, one_line
from spikeline.plan.config import Config
from spikeline.settings.schema import load_yaml, validated
from spikeline.sources import datalad, ibl, tvsd, tvsd_trials
from spikeline.sources.arrays import read_array
from spikeline.sources.npy import Npy
from spikeline.training.state import read_state

READERS = {name: read for name, _, read in artifacts()}


class Harmful:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def pwned(tmp_path):
    """A folder that stays away as long as nothing hostile is run."""
    path = tmp_path / "pwned"
    yield path
    assert not path.exists()


def refusal(read, *given) -> str:
    with pytest.raises(InputError) as caught:
        read(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_harmful_object_of_these_tests_does_harm_when_it_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Harmful(tmp_path / "made")))
    assert (tmp_path / "made").exists()


def test_a_pickle_is_never_run_by_a_reader_of_arrays(tmp_path, pwned, record_property):
    readers = {
        "a.npy": (read_array, Npy),
        "a.csv": (read_array,),
        "m.mat": (lambda path: tvsd_trials.read_mapping(path, 3), tvsd.open_matlab73),
    }
    array = io.BytesIO()
    np.save(array, np.array([Harmful(pwned)], object), allow_pickle=True)
    for content in (pickle.dumps(Harmful(pwned)), array.getvalue()):
        for name, reads in readers.items():
            (tmp_path / name).write_bytes(content)
            for read in reads:
                assert name in refusal(read, tmp_path / name)
                record_property("hostile inputs", 1)


@pytest.mark.parametrize("name", READERS)
def test_a_pickle_is_never_run_by_a_reader_of_artifacts(name, tmp_path, pwned, record_property):
    buffer = io.BytesIO()
    torch.save({"a": Harmful(pwned)}, buffer)
    for content in (pickle.dumps(Harmful(pwned)), buffer.getvalue()):
        (tmp_path / name).write_bytes(content)
        assert name in refusal(READERS[name], tmp_path / name)
        assert name in refusal(provenance.read, tmp_path / name)
        record_property("hostile inputs", 1)


def test_a_pickle_in_a_training_state_is_ignored(tmp_path, pwned, caplog, record_property):
    torch.save({"fingerprint": "x", "model": Harmful(pwned)}, tmp_path / "state.pt")
    assert read_state(tmp_path / "state.pt", "x") is None
    assert "ignoring the unreadable training state" in caplog.text
    record_property("hostile inputs", 1)


# --- HDF5 ----------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path):
    """A file outside, as text and as a field of HDF5."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.txt").write_bytes(b"s3cr3t!!" * 4)
    with h5py.File(tmp_path / "outside/secret.h5", "w") as handle:
        handle["values"] = np.frombuffer(b"s3cr3t!!" * 4)
    return tmp_path / "outside"


def _linked(handle, name, secret):
    handle[name] = h5py.ExternalLink(str(secret / "secret.h5"), "/values")


def _external(handle, name, secret):
    handle.create_dataset(
        name, (4,), "f8", external=[(str(secret / "secret.txt"), 0, h5py.h5f.UNLIMITED)]
    )


def _virtual(handle, name, secret):
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(secret / "secret.h5"), "values", (4,))
    handle.create_virtual_dataset(name, layout)


def _soft(handle, name, secret):
    handle[name] = h5py.SoftLink("/nowhere")


def _claimed(handle, name, secret):
    handle.create_dataset(name, (2**40,), "f8", chunks=(2**20,))


REFERENCES = {
    "a link to another file": _linked,
    "bytes of another file": _external,
    "a virtual dataset of another file": _virtual,
    "a link to nothing": _soft,
    "a size that nothing fills": _claimed,
}


@pytest.mark.parametrize("what", REFERENCES)
def test_a_field_that_stands_for_another_file_is_refused_in_artifacts_and_recordings(
    what, tmp_path, secret, tvsd_files, record_property
):
    spoil = REFERENCES[what]
    said = "claims" if "size" in what else "stands for another place; refused"
    for name, field in (("responses", "values"), ("responses", "electrodes/snr")):
        contract, values = examples()[name]
        contract.write(tmp_path / "a.h5", values, {})
        with h5py.File(tmp_path / "a.h5", "r+") as handle:
            del handle[field]
            spoil(handle, field, secret)
        for mapped in ((), (field,)):
            line = refusal(contract.read, tmp_path / "a.h5", mapped)
            assert said in line and "a.h5" in line
            record_property("hostile inputs", 1)
    sessions.save(tmp_path / "s.h5", make(), RECORD)
    with h5py.File(tmp_path / "s.h5", "r+") as handle:
        del handle["spikes/timestamps"]
        spoil(handle, "spikes/timestamps", secret)
    assert said in refusal(sessions.read, tmp_path / "s.h5")
    paths = tvsd_files.write()
    with h5py.File(paths[0], "r+") as handle:
        del handle["oracle"]
        spoil(handle, "oracle", secret)
    assert said in refusal(tvsd.read_responses, *paths, tvsd_files.regions)
    record_property("hostile inputs", 2)


def test_groups_that_hold_themselves_are_no_endless_walk(tmp_path, record_property):
    contract, values = examples()["responses"]
    contract.write(tmp_path / "a.h5", values, {})
    with h5py.File(tmp_path / "a.h5", "r+") as handle:
        handle["electrodes/again"] = handle["electrodes"]
        handle["electrodes/top"] = handle["/"]
    refusal(contract.read, tmp_path / "a.h5")
    record_property("hostile inputs", 1)


def test_a_heap_without_an_end_is_refused_before_hdf5_is_asked(tmp_path, record_property):
    contract, values = examples()["counts"]
    contract.write(tmp_path / "a.h5", values, {})
    content = bytearray((tmp_path / "a.h5").read_bytes())
    # The size of a heap's first object; of some such files HDF5 never stops to read.
    place = content.index(b"GCOL") + 24
    content[place : place + 8] = b"\xff" * 7 + b"\x7f"
    (tmp_path / "a.h5").write_bytes(content)
    assert "a heap without an end" in refusal(contract.read, tmp_path / "a.h5")
    assert "is not an HDF5 file" in refusal(provenance.read, tmp_path / "a.h5")
    record_property("hostile inputs", 2)


# --- .npy and .json that claim or nest too much ---------------------------------------------------


def test_arrays_that_claim_more_than_they_hold_are_refused(tmp_path, record_property):
    for shape in ("(1000000000000,)", "(10,)", "(-1,)", "(0, 99)", "(" * 300 + ")" * 300, "x"):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(700)
        with open(tmp_path / "a.npy", "wb") as handle:
            handle.write(b"\x93NUMPY\x02\0" + len(header).to_bytes(4, "little") + header.encode())
        for read in (read_array, Npy):
            assert "a.npy" in refusal(read, tmp_path / "a.npy")
            record_property("hostile inputs", 1)


def test_json_without_end_is_refused(tmp_path, record_property):
    deep = "[" * 100_000
    for text in (deep, '{"a":' * 100_000, '{"contract": ' + deep, "9" * 100_000, '{"a": NaN'):
        (tmp_path / "a.json").write_text(text)
        (tmp_path / "session.json").write_text(text)
        (tmp_path / "t.tsv").write_text("")
        (tmp_path / "t.tsv.provenance.json").write_text(text)
        for name in (name for name in READERS if name.endswith(".json")):
            assert "a.json" in refusal(READERS[name], tmp_path / "a.json")
        refusal(ibl.read_recording, tmp_path, "one")
        refusal(provenance.read, tmp_path / "t.tsv")
        refusal(provenance.read, tmp_path / "a.json")
        line = refusal(json_of, text if text[0] == "{" else str(tmp_path / "a.json"), "--settings")
        assert len(line) < 500
        record_property("hostile inputs", 8)


@pytest.mark.parametrize("probe", ["../../outside", "/etc", "..", ".", "", "a/b", "a\\b", "a\0"])
def test_a_probe_whose_name_leaves_the_recording_is_refused(probe, tmp_path, record_property):
    (tmp_path / "session.json").write_text(json.dumps({"probes": [probe]}))
    assert "is no name of a folder; refused" in refusal(ibl.read_recording, tmp_path, "one")
    record_property("hostile inputs", 1)


def test_tables_of_hostile_text_are_refused_or_read_as_text(tmp_path, pwned, record_property):
    path = tmp_path / "t.tsv"
    for cell in ("=cmd|' /C calc'!A0", "$(touch pwned)", "__import__('os')", "{x}", "\x1b[2J"):
        path.write_text(f"model\tregions\tsubject\trow\ttop1\nridge\t{cell}\tF\treference\t0.5\n")
        assert tables.read(path)["regions"][0] == cell
        path.write_text(f"model\tregions\tsubject\trow\ttop1\nridge\tIT\tF\treference\t{cell}\n")
        assert "t.tsv" in refusal(tables.read, path)
        record_property("hostile inputs", 2)


def test_what_a_file_says_commands_no_terminal(tmp_path, capsys):
    assert one_line(InputError("a\x1b[2J\nµ b\r\u202e")) == "a\\x1b[2J µ b \\u202e"
    assert main(["show", str(tmp_path / "\x1b[2J.h5")]) == 1
    assert "\x1b" not in capsys.readouterr().err


# --- configs --------------------------------------------------------------------------------------

TAGS = [
    "!!python/object/apply:os.mkdir [PWNED]",
    "!!python/object/new:os.mkdir [PWNED]",
    "!!python/object/apply:subprocess.getoutput ['mkdir PWNED']",
    "!!python/name:os.mkdir",
    "!!python/module:os",
    "!include /etc/passwd",
    "!ENV ${HOME}",
]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_in_yaml_makes_no_object(tag, tmp_path, pwned, record_property):
    import yaml

    path = tmp_path / "c.yaml"
    path.write_text(f"models: {tag.replace('PWNED', str(pwned))}\n")
    with pytest.raises(yaml.YAMLError):
        load_yaml(path)
    record_property("hostile inputs", 1)


def test_a_config_of_aliases_that_stand_for_billions_of_values_is_refused(
    tmp_path, record_property
):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    assert "holds more than" in refusal(Config, load_yaml(tmp_path / "c.yaml"))
    (tmp_path / "c.yaml").write_text("models: &m {ridge: *m}")
    assert "lie in each other deeper" in refusal(Config, load_yaml(tmp_path / "c.yaml"))
    record_property("hostile inputs", 2)


@pytest.mark.parametrize(
    "name", ["a\n", "a b", "$(x)", "`x`", "../a", "a/b", "a'b", 'a"b', "é", "", "-a", "a;b", "{a}"]
)
@pytest.mark.parametrize("section", ["subjects", "stimuli", "encoders", "models", "sessions"])
def test_a_name_that_means_something_to_a_shell_or_a_path_is_refused(
    section, name, repository, record_property
):
    demo = load_yaml(repository / "config/config.yaml")
    entry = next(iter(demo.get(section, {}).values()), {"kind": "x"})
    demo[section] = {**demo.get(section, {}), name: entry}
    assert section in refusal(Config, demo)
    record_property("hostile inputs", 1)


def test_a_pattern_of_the_schema_holds_for_the_whole_value():
    schema = {"type": "object", "properties": {"a": {"pattern": "^[a-z]+$"}}}
    assert validated({"a": "abc"}, schema, "config") == {"a": "abc"}
    assert "does not match" in refusal(validated, {"a": "abc\n"}, schema, "config")


# --- addresses ------------------------------------------------------------------------------------


def test_addresses_that_git_would_run_or_take_for_options_are_refused(
    tmp_path, pwned, record_property
):
    for url in (
        f"--upload-pack=mkdir {pwned};://x", "-x", f"ext::sh -c mkdir% {pwned}",
        f"ext::mkdir {pwned} ://", "fd::17",
    ):  # fmt: skip
        files = {"a": tmp_path / "out" / "a"}
        line = refusal(datalad.fetch, url, files, tmp_path / "clone", None, 1, 0)
        assert "is no address of a dataset" in line
        record_property("hostile inputs", 1)
    assert not (tmp_path / "clone").exists() and not (tmp_path / "out").exists()


def test_a_file_in_a_dataset_that_is_a_link_to_the_outside_is_refused(tmp_path, record_property):
    import subprocess

    (tmp_path / "secret").write_text("secret")
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "a.mat").symlink_to("../secret")
    (origin / "b.mat").symlink_to(tmp_path / "secret")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-C", str(origin), *command], check=True, env=datalad.environment())
    for name in ("a.mat", "b.mat"):
        files = {name: tmp_path / "out" / name}
        line = refusal(datalad.fetch, str(origin), files, tmp_path / "clone", None, 1, 0)
        assert "outside the dataset; refused" in line
        record_property("hostile inputs", 1)
    assert not (tmp_path / "out").exists()


def test_a_password_in_the_environment_is_not_run(tmp_path, monkeypatch, capsys, pwned):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P", "$(mkdir pwned)`mkdir pwned`';mkdir pwned;'")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", b"x")
    command = ["pack-stimuli", "--images", "a.zip", "--password-variable", "P", "--output", "b.zip"]
    assert main(command) == 0, capsys.readouterr().err
