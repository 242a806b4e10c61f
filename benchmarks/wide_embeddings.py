"""A Bayesian fit to 8,192-dimensional embeddings against one to 1,024 dimensions.

Run: python benchmarks/wide_embeddings.py [--images N] [--electrodes N]. The wide embeddings are the
narrow ones times an orthonormal matrix, so that both pose the same problem: new images, 100 ways.
Each fit runs in a process of its own. Prints CPU seconds and peak memory of both, their ratios, and
whether both rank the images alike.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

NARROW, WIDE, GALLERY = 1024, 8192, 100
GIVEN = {
    "kind": "bayesian",
    "encoder": "any",
    "regions": ["V1"],
    "transform": "none",
    "target_transform": "none",
    "target_normalise": True,
    "target_components": 0,
    "target_layers": [],
    "encoding_kernels": ["linear", "rbf"],
    "decoding_kernels": ["linear", "rbf"],
}


def recording(images: int, electrodes: int, dim: int):
    """Responses (images, electrodes) and the embeddings (images, dim) that they are linear in."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((images, NARROW)) * np.arange(1, NARROW + 1) ** -0.5
    responses = embeddings @ rng.standard_normal((NARROW, electrodes))
    responses += 6 * rng.standard_normal((images, electrodes))
    if dim > NARROW:
        axes = np.linalg.qr(rng.standard_normal((dim, NARROW)))[0]
        embeddings = embeddings @ axes.T
    return responses.astype(np.float32), embeddings.astype(np.float32)


def fit(images: int, electrodes: int, dim: int) -> None:
    """Fit to all but the last images, rank those, and print what it took as JSON."""
    from spikeline.bridge.bayesian.fitting import fit_bayesian
    from spikeline.bridge.retrieval import ranks
    from spikeline.settings.steps import completed

    settings = completed("fit", GIVEN)
    x, e = recording(images + GALLERY, electrodes, dim)
    names = np.array([f"{image:05d}" for image in range(images)])
    rest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    member = fit_bayesian(x[:images], e[:images], names, settings, GALLERY)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    similarity = member.embed_responses(x[images:]) @ member.embed_images(e[images:]).T
    found = {"ranks": ranks(similarity).rank.tolist(), "seconds": seconds}
    print(json.dumps(found | {"peak_mib": peak / 1024, "rest_mib": rest / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1100)
    parser.add_argument("--electrodes", type=int, default=128)
    parser.add_argument("--dim", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.dim:
        fit(options.images, options.electrodes, options.dim)
        return
    found = {}
    print(f"{options.images} images, {options.electrodes} electrodes")
    print(f"{'dimensions':>10}{'CPU s':>10}{'peak MiB':>10}{'before the fit':>16}{'top-1':>8}")
    for dim in (NARROW, WIDE):
        command = [sys.executable, __file__, *sys.argv[1:], "--dim", str(dim)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[dim] = result = json.loads(done.stdout.splitlines()[-1])
        top1 = np.mean(np.array(result["ranks"]) < 1)
        print(
            f"{dim:10}{result['seconds']:10.1f}{result['peak_mib']:10.0f}"
            f"{result['rest_mib']:16.0f}{top1:8.2f}",
            flush=True,
        )
    narrow, wide = found[NARROW], found[WIDE]
    same = np.mean(np.array(narrow["ranks"]) == np.array(wide["ranks"]))
    print(f"ratio of CPU time  {wide['seconds'] / narrow['seconds']:8.2f}   (goal: below 2)")
    print(f"ratio of memory    {wide['peak_mib'] / narrow['peak_mib']:8.2f}")
    print(f"same rank          {same:8.1%} of images")


if __name__ == "__main__":
    main()
