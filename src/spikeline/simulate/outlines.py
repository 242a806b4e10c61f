"""Outlines of the simulated objects, each in a unit disc."""

import numpy as np


def _turn(angles: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
    """Points (n, 2) at `angles` (radians, clockwise from the top) and `radii`."""
    return np.stack([radii * np.sin(angles), -radii * np.cos(angles)], axis=1)


def _corners(count: int, offset: float = 0.0) -> np.ndarray:
    return _turn(2 * np.pi * (np.arange(count) + offset) / count, 1.0)


def _outlines() -> dict[str, list[np.ndarray]]:
    """Outline of each shape in a unit disc, (vertices, 2); a second outline is a hole."""
    around = np.linspace(0, 2 * np.pi, 97)[:-1]
    circle = _turn(around, 1.0)
    heart = np.stack(
        [
            16 * np.sin(around) ** 3,
            -13 * np.cos(around)
            + 5 * np.cos(2 * around)
            + 2 * np.cos(3 * around)
            + np.cos(4 * around),
        ],
        axis=1,
    )
    star = _turn(np.pi * np.arange(10) / 5, np.where(np.arange(10) % 2, 0.45, 1.05))
    arm = 0.34
    cross = np.array(
        [
            (-arm, -1), (arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm),
            (arm, 1), (-arm, 1), (-arm, arm), (-1, arm), (-1, -arm), (-arm, -arm),
        ]
    )  # fmt: skip
    arrow = np.array(
        [(-1, -0.32), (0.1, -0.32), (0.1, -0.8), (1.05, 0), (0.1, 0.8), (0.1, 0.32), (-1, 0.32)]
    )
    outer = _turn(np.linspace(0.25 * np.pi, 1.75 * np.pi, 60), 1.0)
    inner = _turn(np.linspace(1.75 * np.pi, 0.25 * np.pi, 60), 0.78) - (0.0, 0.22)
    drop = np.stack([0.72 * np.sin(around) * np.sin(around / 2) ** 1.4, -np.cos(around)], axis=1)
    return {
        "circle": [0.95 * circle],
        "square": [1.12 * _corners(4, 0.5)],
        "triangle": [1.12 * _corners(3) + (0, 0.15)],
        "star": [star],
        "heart": [heart / 16.5],
        "crescent": [np.concatenate([outer, inner]) * 1.0],
        "cross": [0.95 * cross],
        "hexagon": [_corners(6)],
        "ring": [circle, 0.52 * circle],
        "drop": [1.05 * drop],
        "flower": [_turn(around, 0.78 + 0.27 * np.cos(6 * around))],
        "arrow": [arrow],
    }


OUTLINES = _outlines()
SHAPES = tuple(OUTLINES)
