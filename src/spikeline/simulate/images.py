"""Captioned images of one object each, drawn from named factors."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from spikeline.simulate.backgrounds import BACKGROUNDS, paint_background

COLOURS = {
    "red": (0.84, 0.15, 0.16),
    "orange": (0.96, 0.52, 0.12),
    "yellow": (0.97, 0.84, 0.20),
    "green": (0.20, 0.62, 0.24),
    "cyan": (0.18, 0.75, 0.80),
    "blue": (0.16, 0.32, 0.80),
    "purple": (0.50, 0.22, 0.66),
    "pink": (0.95, 0.52, 0.72),
    "brown": (0.46, 0.28, 0.16),
    "white": (0.95, 0.95, 0.93),
}
TEXTURES = ("plain", "striped", "dotted", "checkered", "wavy")
SIZES = {"small": 0.15, "medium": 0.21, "large": 0.28}  # radius / image side
PLACES = (
    "upper left",
    "top",
    "upper right",
    "left",
    "centre",
    "right",
    "lower left",
    "bottom",
    "lower right",
)
_SUPERSAMPLING = 4


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


@dataclass(frozen=True)
class Stimuli:
    """The images to draw, training images first; every array has one entry per image.

    Attributes:
        concept: class name, e.g. "red_striped_star".
        name: "concept/file.jpg".
        test: True for test images.
        shape, colour, texture, size, place, background: factor levels, as indices of this
            module's tables.
        x, y: centre of the object / image side.
        radius: of the object / image side.
        tilt: radians.
        phase: of the texture, 0..1.
        tint: (images, 3) added to the object's colour.
        grain: seed of the background's grain.
    """

    concept: np.ndarray
    name: np.ndarray
    test: np.ndarray
    shape: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    size: np.ndarray
    place: np.ndarray
    background: np.ndarray
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    tilt: np.ndarray
    phase: np.ndarray
    tint: np.ndarray
    grain: np.ndarray

    def __len__(self) -> int:
        return len(self.name)

    def caption(self, image: int) -> str:
        """One sentence that names every factor of an image."""
        colour, texture, shape = self.concept[image].split("_")
        return (
            f"a {list(SIZES)[self.size[image]]} {colour} {texture} {shape} "
            f"at the {PLACES[self.place[image]]} in front of {BACKGROUNDS[self.background[image]]}"
        )

    def categories(self, image: int) -> tuple[str, str]:
        """What an image has in common with many others: the shape and the place of its object."""
        return f"shape: {SHAPES[self.shape[image]]}", f"place: {PLACES[self.place[image]]}"


def _draw_concepts(count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` distinct (shape, colour, texture) triples, (count, 3), each level about as often."""
    levels = (len(SHAPES), len(COLOURS), len(TEXTURES))
    triples = np.array(list(np.ndindex(levels)))
    used = [np.zeros(n) for n in levels]
    order = rng.random(len(triples))
    chosen = []
    for _ in range(count):
        cost = sum(u[triples[:, k]] * levels[k] for k, u in enumerate(used)) + order
        pick = int(np.argmin(cost))
        order[pick] = np.inf
        chosen.append(triples[pick])
        for k, u in enumerate(used):
            u[triples[pick, k]] += 1
    return np.array(chosen)


def design_stimuli(concepts: int, images_per_concept: int, test_images: int, seed: int) -> Stimuli:
    """Draw the factors of all images.

    Every concept gets `images_per_concept` training images and, if it is among the first
    `test_images` concepts, one test image. The images of a concept differ in their combination
    of size, place and background, so no test combination occurs in training.

    Returns:
        Stimuli, the training images ordered by concept, then the test images.

    Raises:
        ValueError: more images per concept than combinations.
    """
    rng = np.random.default_rng([seed, 1])
    settings = np.array(list(np.ndindex(len(SIZES), len(PLACES), len(BACKGROUNDS))))
    if images_per_concept + 1 > len(settings):
        raise ValueError(f"images_per_concept must be below {len(settings)}")
    triples = _draw_concepts(concepts, rng)
    colours = list(COLOURS)
    names = [f"{colours[c]}_{TEXTURES[t]}_{SHAPES[s]}" for s, c, t in triples]
    order = np.argsort(names)
    # Concepts run alphabetically, as in THINGS; which of them have a test image is random.
    triples, names = triples[order], [names[i] for i in order]
    tested = np.sort(rng.permutation(concepts)[:test_images])
    train_rows, test_rows = [], []
    for concept in range(concepts):
        picks = settings[rng.permutation(len(settings))[: images_per_concept + 1]]
        held_out = int(rng.integers(images_per_concept + 1))
        for number, pick in enumerate(picks):
            rows = test_rows if number == held_out else train_rows
            if number != held_out or concept in tested:
                rows.append((concept, number + 1, *pick))
    rows = np.array(train_rows + test_rows)
    n = len(rows)
    concept = np.array(names)[rows[:, 0]]
    # THINGS marks the first image of a concept with b, the others with s.
    file = [
        f"{c}/{c}_{k:02d}{'b' if k == 1 else 's'}.jpg"
        for c, k in zip(concept, rows[:, 1], strict=True)
    ]
    place = rows[:, 3]
    return Stimuli(
        concept=concept,
        name=np.array(file),
        test=np.arange(n) >= len(train_rows),
        shape=triples[rows[:, 0], 0],
        colour=triples[rows[:, 0], 1],
        texture=triples[rows[:, 0], 2],
        size=rows[:, 2],
        place=place,
        background=rows[:, 4],
        x=0.5 + 0.2 * (place % 3 - 1) + rng.uniform(-0.03, 0.03, n),
        y=0.5 + 0.2 * (place // 3 - 1) + rng.uniform(-0.03, 0.03, n),
        radius=np.array(list(SIZES.values()))[rows[:, 2]] * rng.uniform(0.92, 1.08, n),
        tilt=rng.uniform(-0.3, 0.3, n),
        phase=rng.random(n),
        tint=rng.uniform(-0.05, 0.05, (n, 3)),
        grain=rng.integers(2**31, size=n),
    )


def _soft(signal: np.ndarray, sharpness: float) -> np.ndarray:
    """0 where `signal` is negative, 1 where positive, an anti-aliased edge between."""
    return np.clip(0.5 + signal * sharpness, 0, 1)


def _ink(texture: str, u: np.ndarray, v: np.ndarray, phase: float, pixels: float) -> np.ndarray:
    """Share of the second colour at object coordinates (u, v); the object's radius is 1."""
    if texture == "plain":
        return np.zeros_like(u)
    edge = pixels / 12
    if texture == "striped":
        return _soft(np.sin(2 * np.pi * (1.5 * u + phase)), edge)
    if texture == "wavy":
        return _soft(np.sin(2 * np.pi * (1.5 * v + phase + 0.3 * np.sin(4 * u))), edge)
    if texture == "checkered":
        return _soft(np.sin(np.pi * (2 * u + phase)) * np.sin(np.pi * (2 * v + phase)), edge)
    row = np.round(2.4 * v + phase)
    du = (2.4 * u + 0.5 * (row % 2) + phase + 0.5) % 1 - 0.5
    return _soft(0.33 - np.hypot(du, 2.4 * v + phase - row), pixels / 2.4)


def _coverage(outlines: list[np.ndarray], size: int) -> Image.Image:
    """Share of each pixel inside the shape, as an 8-bit image."""
    side = size * _SUPERSAMPLING
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    for value, outline in zip((255, 0), outlines, strict=False):
        draw.polygon([tuple(p) for p in (outline * side).tolist()], fill=value)
    return canvas.resize((size, size), Image.Resampling.BOX)


def render(stimuli: Stimuli, image: int, size: int) -> np.ndarray:
    """Draw one image: (size, size, 3) uint8."""
    rng = np.random.default_rng(int(stimuli.grain[image]))
    background = paint_background(BACKGROUNDS[stimuli.background[image]], size, rng)
    x, y, radius = stimuli.x[image], stimuli.y[image], stimuli.radius[image]
    cos, sin = np.cos(stimuli.tilt[image]), np.sin(stimuli.tilt[image])
    turned = [
        outline @ np.array([[cos, sin], [-sin, cos]]) * radius + (x, y)
        for outline in OUTLINES[SHAPES[stimuli.shape[image]]]
    ]
    mask = _coverage(turned, size)
    shadow = mask.filter(ImageFilter.GaussianBlur(size / 32))
    shadow = np.roll(np.asarray(shadow) / 255.0, (size // 32, size // 48), (0, 1))
    inner = np.asarray(mask.filter(ImageFilter.GaussianBlur(size / 96))) / 255.0
    mask = np.asarray(mask) / 255.0

    grid = (np.arange(size) + 0.5) / size
    dx, dy = (grid[None, :] - x) / radius, (grid[:, None] - y) / radius
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    base = np.array(list(COLOURS.values())[stimuli.colour[image]]) + stimuli.tint[image]
    # The second colour is darker on light objects and lighter on dark ones.
    light = base @ (0.3, 0.59, 0.11) > 0.5
    second = base * 0.42 if light else base + (1 - base) * 0.68
    texture = TEXTURES[stimuli.texture[image]]
    ink = _ink(texture, u, v, stimuli.phase[image], radius * size)[..., None]
    surface = base + (second - base) * ink
    # Light from the upper left and a darker rim, so that objects look solid.
    lit = 1.06 - 0.10 * (u + v) - 0.35 * np.clip(1 - inner, 0, 0.5)
    picture = background * (1 - 0.35 * shadow[..., None])
    picture = picture + (surface * lit[..., None] - picture) * mask[..., None]
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """JPEG file of an image (size, size, 3) uint8."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()
