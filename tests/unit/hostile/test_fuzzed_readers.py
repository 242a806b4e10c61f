"""Readers of files from elsewhere, given files that are almost right: only our own error comes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from matlab_files import write_matlab73
from mutations import altered, fuzz, mutated
from trial_examples import some_trials_files

from spikeline.cli import train_clip
from spikeline.cli._options import json_of
from spikeline.sources import ibl, phy, stimuli, tvsd, tvsd_trials
from spikeline.sources.arrays import read_array, read_names
from spikeline.sources.captions import read_captions
from spikeline.sources.categories import read_categories
from spikeline.sources.columns import read_columns
from spikeline.sources.factors import read_factors
from spikeline.sources.npy import Npy

EXAMPLES = 100
# Each example of these opens HDF5 or MATLAB files, which takes milliseconds.
FEWER = 50


def npy(values) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def matlab5(values) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"mapping": values})
    return buffer.getvalue()


def spikes(path):
    return Npy(path).mapped.sum()


FACTORS = "things_path\tsplit\tshape\na.png\ttrain\tring\nb.png\ttest\tdisc\n"
CAPTIONS = "things_path\tcaption\tsplit\na.png\ta ring\ttrain\nb.png\tµ\ttest\n"
# {what: (the name of a file, its valid bytes, what reads it)}
READERS = {
    "responses.npy": (npy(np.arange(12.0).reshape(4, 3)), read_array),
    "spikes.npy": (npy(np.arange(9)), spikes),
    "responses.csv": (b"1,2.5,nan\n4,5,-6e3\n", read_array),
    "images.txt": ("a/1.png\nb/µ 2.png\n".encode(), read_names),
    "mapping.mat": (
        matlab5(np.arange(1.0, 13)[:, None]),
        lambda path: tvsd_trials.read_mapping(path, 12),
    ),
    "captions.tsv": (CAPTIONS.encode(), read_captions),
    "split_captions.tsv": (CAPTIONS.encode(), train_clip.read_captions),
    "factors.tsv": (FACTORS.encode(), read_factors),
    "categories.tsv": (b"uniqueID\tcategory\ncat\tanimal\ncat\tpet\n", read_categories),
    "clusters.tsv": (b"cluster\tuuid\n0\tu0\n1\tu1\n", read_columns),
    "cluster_info.tsv": (
        b"cluster_id\tgroup\tdepth\n0\tgood\t10\n3\tmua\t\n",
        lambda path: phy.read_clusters(path, "good"),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_small_file_with_changed_bytes_is_read_or_refused(name, tmp_path, record_property):
    content, read = READERS[name]
    path = tmp_path / name

    def attempt(changed):
        path.write_bytes(changed)
        read(path)

    attempt(content)
    fuzz(mutated(content), attempt, EXAMPLES, record_property)


@pytest.mark.parametrize("name", ["THINGS_normMUA.mat", "things_imgs.mat"])
def test_a_recording_of_tvsd_with_changed_bytes_is_read_or_refused(
    name, tvsd_files, record_property
):
    paths = tvsd_files.write()
    (path,) = [path for path in paths if path.name == name]
    content = path.read_bytes()

    def attempt(changed):
        path.write_bytes(changed)
        tvsd.read_responses(*paths, tvsd_files.regions)

    fuzz(mutated(content), attempt, FEWER, record_property)


def test_presentations_of_tvsd_with_changed_bytes_are_read_or_refused(tmp_path, record_property):
    files = some_trials_files(tmp_path)
    path, mapping = files.write()
    content = path.read_bytes()

    def attempt(changed):
        path.write_bytes(changed)
        with tvsd_trials.opened(path, mapping, files.regions) as recorded:
            for slabs in tvsd_trials.blocks(recorded, 1, 0, recorded.samples.shape[1]):
                for slab in slabs:
                    slab.sum()

    attempt(content)
    fuzz(mutated(content), attempt, FEWER, record_property)


def test_fields_of_matlab_files_of_any_shape_are_read_or_refused(tvsd_files, record_property):
    # What bytes seldom become: other dtypes and shapes in a file that is whole.
    from hypothesis import strategies as st

    shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
    dtypes = st.sampled_from(["f8", "f2", "i8", "u1", "S3", "c8", "?"])
    names = st.sampled_from(sorted(tvsd_files.fields))
    whole = dict(tvsd_files.fields)
    images = write_matlab73(tvsd_files.folder / "things_imgs.mat", tvsd_files.images)

    def attempt(chosen):
        name, shape, dtype = chosen
        path = write_matlab73(
            tvsd_files.folder / "norm.mat", {**whole, name: np.zeros(shape, dtype)}
        )
        tvsd.read_responses(path, images, tvsd_files.regions)

    fuzz(st.tuples(names, shapes, dtypes), attempt, FEWER, record_property)


def test_a_session_of_ibl_with_changed_files_is_read_or_refused(tmp_path, record_property):
    probe = tmp_path / "probe00"
    probe.mkdir()
    np.save(probe / "spikes.times.npy", np.arange(9.0))
    np.save(probe / "spikes.clusters.npy", np.arange(9) % 2)
    (probe / "clusters.tsv").write_text(
        "cluster\tuuid\tregion\tdepth\tlabel\n0\tu0\tVISp\t10\t1\n1\tu1\tCA1\t20\t0.3\n"
    )
    np.save(tmp_path / "wheel.timestamps.npy", np.arange(9.0))
    np.save(tmp_path / "wheel.position.npy", np.arange(9.0))
    session = {"subject": "m", "probes": ["probe00"]}

    def attempt(changed):
        (tmp_path / "session.json").write_text(json.dumps(changed))
        ibl.read_recording(tmp_path, "one")

    attempt(session)
    fuzz(altered(session), attempt, EXAMPLES, record_property)
    (tmp_path / "session.json").write_text(json.dumps(session))
    table = (probe / "clusters.tsv").read_bytes()

    def attempt_table(changed):
        (probe / "clusters.tsv").write_bytes(changed)
        ibl.read_recording(tmp_path, "one")

    fuzz(mutated(table), attempt_table, FEWER, record_property)


def test_an_archive_of_images_with_changed_bytes_is_read_or_refused(tmp_path, record_property):
    stored = Path(__file__).parents[1] / "artifacts" / "stored" / "0.1.0" / "stimuli.zip"
    path = tmp_path / "a.zip"

    def attempt(changed):
        path.write_bytes(changed)
        for image in stimuli.load(path, stimuli.names(path)):
            image.load()
        stimuli.pack(path, tmp_path / "packed.zip", "{}", shorter_side=2)

    fuzz(mutated(stored.read_bytes()), attempt, EXAMPLES, record_property)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_an_image_with_changed_bytes_is_decoded_or_refused(kind, record_property):
    from PIL import Image

    from spikeline.sources.pictures import decoded

    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (6, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    fuzz(
        mutated(buffer.getvalue()), lambda changed: decoded(changed, "a"), EXAMPLES, record_property
    )


def test_settings_on_the_command_line_with_changed_text_are_read_or_refused(record_property):
    text = json.dumps({"regions": {"V1": [[0, 6]]}, "splits": 2, "test_images": 3})

    def attempt(changed):
        json_of(changed.decode("utf-8", "surrogateescape"), "--settings")

    fuzz(mutated(text.encode()), attempt, EXAMPLES, record_property)
