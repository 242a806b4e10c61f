"""Nystrom kernel ridge with leave-one-out penalties against scikit-learn's Nystroem and RidgeCV.

Run: python benchmarks/kernel_ridge.py [--rows N] [--landmarks N]. Both predict 1,024 responses from
768 features of each row, choose one of twelve penalties for each response by leave-one-out, and
draw as many landmarks. Each runs in a process of its own. Prints wall and CPU seconds, peak memory
and the share of variance explained on new rows, and the ratios.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

FEATURES, OUTPUTS, NEW_ROWS = 768, 1024, 1000
PENALTIES = 10.0 ** np.arange(-2.5, 3.1, 0.5)
CASES = ("spikeline", "scikit-learn")


def recording(rows: int):
    """Features (rows, 768) of mean squared length 1 and noisy responses (rows, 1024), float64.

    The responses follow 60 directions of the features, half of them through a nonlinearity.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, FEATURES)) * np.arange(1, FEATURES + 1) ** -0.6
    x /= np.sqrt(np.square(x).sum(1).mean())
    driven = 6 * x @ rng.standard_normal((FEATURES, 60))
    driven[:, ::2] = np.tanh(driven[:, ::2])
    y = driven / driven.std(0) @ rng.standard_normal((60, OUTPUTS)) / np.sqrt(60)
    y += 1.5 * rng.standard_normal((rows, OUTPUTS))
    return x, y / y.std(0)


def ours(x: np.ndarray, y: np.ndarray, landmarks: int):
    """A function of new features that predicts their responses."""
    from spikeline.bridge.kernel_ridge import fit_smoother

    return fit_smoother("rbf", x, y, PENALTIES, landmarks=landmarks)[0].predict


def peer(x: np.ndarray, y: np.ndarray, landmarks: int):
    """The same of scikit-learn."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    features = Nystroem(kernel="rbf", gamma=0.5, n_components=landmarks, random_state=0)
    ridge = RidgeCV(alphas=PENALTIES, fit_intercept=False, alpha_per_target=True)
    return make_pipeline(features, ridge).fit(x, y).predict


def case(name: str, rows: int, landmarks: int) -> dict[str, float]:
    """What a fit takes and how well it predicts; for a process of its own."""
    x, y = recording(rows + NEW_ROWS)
    fit = ours if name == "spikeline" else peer
    wall, cpu = time.perf_counter(), time.process_time()
    predict = fit(x[:rows], y[:rows], landmarks)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    missed = np.square(y[rows:] - predict(x[rows:])).mean()
    return seconds | {"peak_gib": peak, "explained": 1 - missed / y[rows:].var()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=22_248)
    parser.add_argument("--landmarks", type=int, default=4000)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(case(options.case, options.rows, options.landmarks)))
        return
    print(f"{options.rows} rows, {options.landmarks} landmarks, {len(PENALTIES)} penalties")
    print(f"{'':14}{'wall s':>10}{'CPU s':>10}{'peak GiB':>10}{'explained':>11}")
    found = {}
    for name in CASES:
        command = [sys.executable, __file__, *sys.argv[1:], "--case", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[name] = result = json.loads(done.stdout)
        print(
            f"{name:14}{result['wall_s']:10.1f}{result['cpu_s']:10.1f}{result['peak_gib']:10.2f}"
            f"{result['explained']:11.4f}",
            flush=True,
        )
    own, other = found["spikeline"], found["scikit-learn"]
    print(f"ratio of CPU time  {other['cpu_s'] / own['cpu_s']:8.1f}")
    print(f"ratio of memory    {other['peak_gib'] / own['peak_gib']:8.1f}")


if __name__ == "__main__":
    main()
