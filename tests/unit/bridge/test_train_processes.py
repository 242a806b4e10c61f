"""`spikeline train` in two processes of its own."""

import json
import os
import subprocess
import sys

import numpy as np

from spikeline.artifacts import embeddings, responses
from spikeline.bridge.decoder import Decoder

ROWS, ELECTRODES = 200, 12
SETTINGS = {
    "kind": "linear", "encoder": "clip", "regions": ["V1"], "validation_images": 20, "epochs": 40,
    "batch_size": 16, "learning_rate": 0.01,
}  # fmt: skip


def test_one_of_two_processes_writes_a_decoder_that_both_trained(tmp_path):
    rng = np.random.default_rng(0)
    images = np.array([f"c{row % 40}/{row}.jpg" for row in range(ROWS)], dtype=object)
    embedded = rng.standard_normal((ROWS, 10)).astype(np.float32)
    recorded = responses.Responses(
        values=(embedded @ rng.standard_normal((10, ELECTRODES))).astype(np.float32),
        images=images,
        categories=np.array([name.split("/")[0] for name in images], dtype=object),
        test=(np.arange(ROWS) < 20)[None],
        electrodes={
            "region": np.array(["V1"] * ELECTRODES, dtype=object),
            **{k: np.ones(ELECTRODES, np.float32) for k in ("snr", "reliability", "oracle")},
            "channel": np.arange(ELECTRODES, dtype=np.int32),
        },
    )
    responses.write(tmp_path / "r.h5", recorded, {})
    embeddings.write(tmp_path / "e.h5", embeddings.Embeddings(embedded, images, "clip-1"), {})
    done = subprocess.run(
        [sys.executable, "-m", "spikeline", "train", "--responses", "r.h5", "--embeddings", "e.h5",
         "--seed", "0", "--settings", json.dumps(SETTINGS), "--output", "d.safetensors",
         "--history", "h.tsv", "--states", "states", "--state-interval", "0", "--device", "cpu",
         "--processes", "2"],
        cwd=tmp_path, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
             "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("training: 100%") == 1  # one process shows its progress
    assert len((tmp_path / "h.tsv").read_text().splitlines()) == 1 + SETTINGS["epochs"]
    assert list((tmp_path / "states").iterdir()) == []
    decoder = Decoder.load(tmp_path / "d.safetensors")
    similarity = (
        decoder.embed_responses(recorded.values[:20]) @ decoder.embed_images(embedded[:20]).T
    )
    assert (similarity.argmax(1) == np.arange(20)).mean() > 0.5
