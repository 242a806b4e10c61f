"""convert-spikes: valid spikes become a session, others one line that says what is wrong."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from defaults import settings

from spikeline.artifacts import provenance, sessions
from spikeline.cli.main import main

SECONDS = 100.0


@pytest.fixture
def files(tmp_path):
    """A folder of a sorter's arrays: 12 clusters, 2,400 spikes in 100 s, a wheel."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "sorted"
    folder.mkdir()
    times = np.sort(rng.uniform(0, SECONDS, 2400))
    times[-1] = SECONDS - 0.005
    np.save(folder / "times.npy", times)
    np.save(folder / "clusters.npy", np.tile(np.arange(12), 200).astype(np.uint32))
    stamps = np.linspace(0, SECONDS, 5000)
    np.save(folder / "stamps.npy", stamps)
    np.save(folder / "position.npy", np.sin(stamps))
    return folder


def convert(folder, *more, given=None, wheel=False):
    output = folder.parent / "results" / "mouse.h5"
    if wheel:
        more += ("--behaviour-timestamps", str(folder / "stamps.npy"), "--behaviour-position",
                 str(folder / "position.npy"), "--behaviour-kind", "wheel")  # fmt: skip
    status = main(
        ["convert-spikes", "--times", str(folder / "times.npy"),
         "--clusters", str(folder / "clusters.npy"), "--settings", json.dumps(given or {}),
         "--output", str(output), *more]
    )  # fmt: skip
    return status, output


def change(name, function):
    def edit(folder):
        np.save(folder / f"{name}.npy", function(np.load(folder / f"{name}.npy")))

    return edit


def put(index, value):
    def edit(array):
        array = array.astype(float) if isinstance(value, float) else array.astype(np.int64)
        array[index] = value
        return array

    return edit


def truncate(name):
    def edit(folder):
        content = (folder / f"{name}.npy").read_bytes()
        (folder / f"{name}.npy").write_bytes(content[: len(content) // 2])

    return edit


def table(text):
    return lambda folder: (folder / "quality.tsv").write_text(text)


ALL = "".join(f"{k}\tgood\t{100 * k}\n" for k in range(11))
QUALITY = ("--quality", "{}/quality.tsv")
# What is wrong -> (change of the files, further arguments, settings, words of the line).
BAD = {
    "unsorted": (change("times", lambda t: t[::-1]), (), {}, "times.npy: is not sorted: spike 1 "),
    "unsorted late": (change("times", put(2000, 1.5)), (), {}, "not sorted: spike 2000 at 1.500"),
    "negative": (change("times", put(0, -0.5)), (), {}, "time of spike 0 is -0.5 s"),
    "NaN": (change("times", put(7, np.nan)), (), {}, "time of spike 7 is nan"),
    "infinite": (change("times", put(-1, np.inf)), (), {}, "time of spike 2399 is inf"),
    "fewer clusters": (
        change("clusters", lambda c: c[:-3]), (), {}, "2400 spike times, but .*has 2397 clusters"
    ),
    "a negative cluster": (
        change("clusters", put(5, -1)), (), {}, "clusters.npy: cluster of spike 5 is -1"
    ),
    "an unsigned -1": (
        change("clusters", put(5, 2**32 - 1)), (), {}, "cluster of spike 5 is 4294967295, out of"
    ),
    "a fractional cluster": (change("clusters", put(5, 1.5)), (), {}, "5 is 1.5, expected whole"),
    "a cluster beyond the table": (
        table("cluster_id\tgroup\tdepth\n" + ALL), QUALITY, {}, "cluster 11 has spikes but is out"
    ),
    "no good units": (
        table("cluster_id\tgroup\n3\tmua\n5\tnoise\n"), QUALITY, {},
        "session mouse: 0 good units kept"
    ),
    "too few good units": ((), (), {"min_units": 20}, "12 good units .*at least 20"),
    "all too slow": ((), (), {"min_rate_hz": 3}, "12 of them below 3 Hz"),
    "no spikes": (
        lambda folder: [change(name, lambda a: a[:0])(folder) for name in ("times", "clusters")],
        (), {}, "holds no spikes; the session has no length"
    ),
    "a session of one instant": (
        change("times", lambda t: np.zeros_like(t)), (), {}, "session mouse: .*longer than the"
    ),
    "samples taken for seconds": (
        change("times", lambda t: (t * 30000).astype(np.int64)), (), {}, "--samples-per-second"
    ),
    "a reference window longer than the session": (
        (), (), {"split": {"reference_s": 600}},
        "session mouse: the reference window of 600 s is longer than the session of 100 s"
    ),
    "truncated times": (truncate("times"), (), {}, "times.npy: is truncated"),
    "truncated clusters": (truncate("clusters"), (), {}, "clusters.npy: is truncated"),
    "times that are text": (
        lambda folder: (folder / "times.npy").write_text("1\n2\n"), (), {}, "is not a .npy file"
    ),
    "times that are names": (
        lambda folder: np.save(folder / "times.npy", np.array(["a"])), (), {}, "expected numbers"
    ),
    "times of two columns": (
        change("times", lambda t: np.stack([t, t], 1)), (), {}, r"has shape \(2400, 2\)"
    ),
    "no times": (lambda folder: (folder / "times.npy").unlink(), (), {}, "times.npy: no such file"),
    "an unknown setting": ((), (), {"blocks": 3}, "--settings: unknown key 'blocks'"),
    "a window of nothing": ((), (), {"window_s": [5, 5]}, "window_s: .5, 5. does not ascend"),
    "a window after the end": ((), (), {"window_s": [200, 300]}, "no spikes in the window"),
    "a wheel that jumps back": (
        change("stamps", put(400, 1.0)), "wheel", {}, "stamps.npy: timestamps jump back at sample"
    ),
    "a NaN timestamp": (change("stamps", put(40, np.nan)), "wheel", {}, "timestamp 40 is nan"),
    "a position too short": (
        change("position", lambda p: p[:-1]), "wheel", {},
        r"position.npy: has \(4999,\) positions for \(5000,\) timestamps"
    ),
    "timestamps in milliseconds": (
        change("stamps", lambda t: 1000 * t), "wheel", {}, "stamps.npy: lasts .*milliseconds"
    ),
    "spike times in milliseconds": (
        change("times", lambda t: 1000 * t), (), {}, "times.npy: .* hours; .*milliseconds"
    ),
    "times of half precision": (
        change("times", lambda t: t.astype(np.float16)), (), {}, "times.npy: is float16"
    ),
    "positions that are all unknown": (
        change("position", lambda p: p * np.nan), "wheel", {}, "position.npy: no sample is finite"
    ),
    "a kind of behaviour without it": (
        (), ("--behaviour-kind", "wheel"), {}, "--behaviour-timestamps: is missing"
    ),
    "another clock": (
        change("stamps", lambda t: t + 1e6), "wheel", {}, "none of its samples .* another clock"
    ),
    "a truncated position": (truncate("position"), "wheel", {}, "position.npy: cannot be read"),
    "a position without its times": (
        (), ("--behaviour-position", "{}/position.npy"), {}, "--behaviour-timestamps: is missing"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(case, files, capsys):
    edit, more, given, words = BAD[case]
    if edit:
        edit(files)
    wheel, more = more == "wheel", () if more == "wheel" else more
    capsys.readouterr()
    status, output = convert(
        files, *(text.format(files) for text in more), given=given, wheel=wheel
    )
    text = capsys.readouterr().err
    assert status == 1 and text.count("\n") == 1
    assert re.search(words, text), text
    assert not output.exists() and not list(files.parent.glob("results/.*"))


def test_a_session_holds_the_spikes_and_says_where_they_came_from(files):
    status, output = convert(files, wheel=True)
    assert status == 0
    data = sessions.read(output)
    np.testing.assert_array_equal(data.spikes.timestamps, np.load(files / "times.npy"))
    np.testing.assert_array_equal(data.spikes.unit_index, np.load(files / "clusters.npy"))
    assert list(data.units.id[:3]) == ["0", "1", "2"]
    assert data.session.id == "mouse" and data.session.source == "arrays"
    assert data.session.behaviour_kind == "wheel"
    assert data.domain.end[-1] == 100.0
    record = provenance.read(output)
    assert record["step"] == "convert-spikes" and len(record["inputs"]) == 4
    assert record["settings"] == settings("convert-spikes")


def test_a_session_may_have_another_name_than_its_file(files):
    _, output = convert(files, "--name", "rat")
    assert sessions.read(output).session.id == "rat"


def test_units_below_the_rate_are_left_out_and_the_rest_counted_anew(files):
    clusters = np.load(files / "clusters.npy")
    clusters[clusters == 3] = 4
    clusters[0] = 3
    np.save(files / "clusters.npy", clusters)
    _, output = convert(files, given={"min_rate_hz": 1})
    data = sessions.read(output)
    assert list(data.units.id) == [str(k) for k in range(12) if k != 3]
    kept = clusters != 3
    np.testing.assert_array_equal(data.spikes.timestamps, np.load(files / "times.npy")[kept])
    np.testing.assert_array_equal(data.units.id[data.spikes.unit_index], clusters[kept].astype(str))


def test_phys_samples_become_seconds(files):
    samples = np.round(np.load(files / "times.npy") * 30000).astype(np.uint64)
    np.save(files / "times.npy", samples[:, None])
    status, output = convert(files, "--samples-per-second", "30000")
    assert status == 0
    np.testing.assert_allclose(sessions.read(output).spikes.timestamps, samples / 30000)


def test_phys_table_says_which_units_are_good(files):
    (files / "quality.tsv").write_text("cluster_id\tgroup\n1\tgood\n4\tmua\n7\tgood\n")
    _, output = convert(files, "--quality", str(files / "quality.tsv"), given={"min_units": 2})
    assert list(sessions.read(output).units.id) == ["1", "7"]


def test_a_recording_that_begins_late_begins_at_its_first_second(files):
    np.save(files / "times.npy", np.load(files / "times.npy") + 4000.25)
    np.save(files / "stamps.npy", np.load(files / "stamps.npy") + 4000.25)
    _, output = convert(files, wheel=True)
    data = sessions.read(output)
    assert data.session.origin_s == 4000
    np.testing.assert_allclose(
        data.spikes.timestamps + 4000, np.load(files / "times.npy"), rtol=0, atol=1e-9
    )
    assert np.isnan(data.behaviour.velocity[:25]).all()
    assert np.isfinite(data.behaviour.velocity[30:]).all()


def test_a_window_cuts_the_recording(files):
    _, output = convert(files, given={"window_s": [10, 95.5], "split": {"reference_s": 30}})
    data, times = sessions.read(output), np.load(files / "times.npy")
    inside = times[(times >= 10) & (times < 95.5)]
    np.testing.assert_allclose(data.spikes.timestamps, inside - 10, atol=1e-12)
    assert data.domain.end[-1] == 85.5 and data.session.origin_s == 10


def test_the_same_input_gives_the_same_bytes(files):
    _, output = convert(files, wheel=True)
    first = output.read_bytes()
    convert(files, wheel=True)
    assert output.read_bytes() == first


def test_a_full_disk_leaves_nothing(files, tiny_disk, capsys):
    status = main(
        ["convert-spikes", "--times", str(files / "times.npy"),
         "--clusters", str(files / "clusters.npy"),
         "--behaviour-timestamps", str(files / "stamps.npy"),
         "--behaviour-position", str(files / "position.npy"), "--behaviour-kind", "wheel",
         "--settings", "{}", "--output", str(tiny_disk / "mouse.h5")]
    )  # fmt: skip
    text = capsys.readouterr().err
    assert status == 1 and text.count("\n") == 1 and "No space left" in text
    assert list(tiny_disk.iterdir()) == []


def test_real_spikes_keep_144_units_at_one_hertz(real_data, tmp_path):
    folder = real_data / "ibl_spikes"
    output = tmp_path / "ibl_spikes.h5"
    given = {"min_rate_hz": 1, "split": {"kind": "chronological"}}
    status = main(
        ["convert-spikes", "--times", str(folder / "spikes.times.npy"),
         "--clusters", str(folder / "spikes.clusters.npy"),
         "--behaviour-timestamps", str(folder / "wheel.timestamps.npy"),
         "--behaviour-position", str(folder / "wheel.position.npy"), "--behaviour-kind", "wheel",
         "--settings", json.dumps(given), "--output", str(output)]
    )  # fmt: skip
    assert status == 0
    data = sessions.read(output)
    assert len(data.units.id) == 144
    assert (data.test_domain.start[0], data.test_domain.end[0]) == (84.0, 120.0)
    assert np.isfinite(data.behaviour.velocity).mean() > 0.99
