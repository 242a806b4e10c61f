"""Closed-form ridge against himalaya's RidgeCV: 22,248 x 1,024 -> 768, six penalties, three folds.

Run: python benchmarks/ridge.py [--rows N]. Prints both times, their ratio, and whether the two
agree on penalties and predictions.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from himalaya.ridge import RidgeCV
from sklearn.model_selection import KFold

from spikeline.bridge.ridge import fit_ridge

PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)


def recording(rows: int, electrodes: int, targets: int, seed: int = 0):
    """Correlated responses and noisy linear targets, float32."""
    rng = np.random.default_rng(seed)
    latents = rng.standard_normal((rows, 100), dtype=np.float32)
    x = latents @ rng.standard_normal((100, electrodes), dtype=np.float32) / 10
    x += rng.standard_normal((rows, electrodes), dtype=np.float32)
    y = latents @ rng.standard_normal((100, targets), dtype=np.float32) / 10
    y += 2 * rng.standard_normal((rows, targets), dtype=np.float32)
    return x, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=22_248)
    rows = parser.parse_args().rows
    x, y = recording(rows, 1024, 768)
    test, _ = recording(100, 1024, 768, seed=1)

    # Both choose penalties on the same folds: ours takes them as groups, one a fold.
    split = KFold(3)
    fold = np.zeros(rows, dtype=int)
    for label, (_, held_out) in enumerate(split.split(x)):
        fold[held_out] = label

    start = time.perf_counter()
    ours = fit_ridge(x, y, PENALTIES, selection="kfold", folds=3, groups=fold, per_target=True)
    seconds = time.perf_counter() - start
    print(f"closed form        {seconds:8.2f} s", flush=True)

    start = time.perf_counter()
    peer = RidgeCV(alphas=PENALTIES, cv=split, fit_intercept=True).fit(x, y)
    peer_seconds = time.perf_counter() - start
    expected = peer.predict(test)
    difference = np.abs(ours.predict(test) - expected).max() / np.abs(expected).max()
    same = np.isclose(ours.penalties, peer.best_alphas_).mean()
    print(f"himalaya RidgeCV   {peer_seconds:8.2f} s")
    print(f"ratio              {peer_seconds / seconds:8.1f}")
    print(f"same penalty       {same:8.1%} of targets")
    print(f"predictions agree  {difference:8.1e} (largest difference, relative)")


if __name__ == "__main__":
    main()
