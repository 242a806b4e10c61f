"""Captioned images of one object each, drawn from named factors."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from spikeline.simulate.backgrounds import BACKGROUNDS, paint_background
from spikeline.simulate.outlines import OUTLINES, SHAPES

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
# How the object is divided: in a part of it the texture's two colours change places.
DIVISIONS = ("whole", "halved", "quartered", "edged")
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
# Concepts that shape, colour and texture tell apart.
_UNDIVIDED = len(SHAPES) * len(COLOURS) * len(TEXTURES)


@dataclass(frozen=True)
class Stimuli:
    """The images to draw, training images first; every array has one entry per image.

    Attributes:
        concept: class name, e.g. "red_striped_star" or "halved_red_striped_star".
        name: "concept/file.jpg".
        test: True for test images.
        division, shape, colour, texture, size, place, background: factor levels, as indices of
            this module's tables.
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
    division: np.ndarray
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
        return (
            f"a {list(SIZES)[self.size[image]]} {self.concept[image].replace('_', ' ')} "
            f"at the {PLACES[self.place[image]]} in front of {BACKGROUNDS[self.background[image]]}"
        )

    def categories(self, image: int) -> tuple[str, str]:
        """What an image has in common with many others: the shape and the place of its object."""
        return f"shape: {SHAPES[self.shape[image]]}", f"place: {PLACES[self.place[image]]}"

    def split(self, image: int) -> str:
        """Of which split an image is: train or test."""
        return "test" if self.test[image] else "train"

    def factors(self, image: int) -> dict[str, str]:
        """The levels of the factors that a decoder may get right or wrong, by name."""
        return {
            "shape": SHAPES[self.shape[image]],
            "colour": list(COLOURS)[self.colour[image]],
            "texture": TEXTURES[self.texture[image]],
            "place": PLACES[self.place[image]],
            "background": BACKGROUNDS[self.background[image]],
        }


def _concept_name(division: int, shape: int, colour: int, texture: int) -> str:
    words = [list(COLOURS)[colour], TEXTURES[texture], SHAPES[shape]]
    return "_".join([DIVISIONS[division], *words] if division else words)


def _draw_concepts(count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` distinct rows (division, shape, colour, texture), each level about as often.

    Objects are divided in no more ways than it takes to tell all concepts apart.
    """
    ways = -(-count // _UNDIVIDED)
    levels = (ways, len(SHAPES), len(COLOURS), len(TEXTURES))
    combinations = np.array(list(np.ndindex(levels)))
    used = {k: np.zeros(n) for k, n in enumerate(levels) if n > 1}
    order = rng.random(len(combinations))
    chosen = []
    for _ in range(count):
        cost = sum(u[combinations[:, k]] * levels[k] for k, u in used.items()) + order
        pick = int(np.argmin(cost))
        order[pick] = np.inf
        chosen.append(combinations[pick])
        for k, u in used.items():
            u[combinations[pick, k]] += 1
    return np.array(chosen)


def design_stimuli(concepts: int, images_per_concept: int, test_images: int, seed: int) -> Stimuli:
    """Draw the factors of all images.

    Every concept gets `images_per_concept` training images and, if it is among the first
    `test_images` concepts, one test image. The images of a concept differ in their combination
    of size, place and background, so no test combination occurs in training.

    Returns:
        Stimuli, the training images ordered by concept, then the test images.

    Raises:
        ValueError: more concepts, or more images per concept, than combinations.
    """
    rng = np.random.default_rng([seed, 1])
    settings = np.array(list(np.ndindex(len(SIZES), len(PLACES), len(BACKGROUNDS))))
    if concepts > _UNDIVIDED * len(DIVISIONS):
        raise ValueError(f"concepts must be at most {_UNDIVIDED * len(DIVISIONS)}")
    if images_per_concept + 1 > len(settings):
        raise ValueError(f"images_per_concept must be below {len(settings)}")
    objects = _draw_concepts(concepts, rng)
    names = [_concept_name(*levels) for levels in objects]
    order = np.argsort(names)
    # Concepts run alphabetically, as in THINGS; which of them have a test image is random.
    objects, names = objects[order], [names[i] for i in order]
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
    concept = np.array(names)[rows[:, 0]]
    # THINGS marks the first image of a concept with b, the others with s.
    file = [
        f"{c}/{c}_{k:02d}{'b' if k == 1 else 's'}.jpg"
        for c, k in zip(concept, rows[:, 1], strict=True)
    ]
    test = np.arange(len(rows)) >= len(train_rows)
    return _placed(concept, file, test, objects[rows[:, 0]], rows[:, 2:], rng)


def design_further(count: int, unlike: Stimuli, seed: int) -> Stimuli:
    """Draw the factors of images that no monkey saw, each level about as often.

    Args:
        count: images.
        unlike: no caption of its test images occurs.
        seed: of the draw.

    Returns:
        Stimuli, none of them a test image, whose names begin with "further/"; objects are whole.
    """
    rng = np.random.default_rng([seed, 5])
    taken = {unlike.caption(image) for image in np.flatnonzero(unlike.test)}
    levels = (len(SHAPES), len(COLOURS), len(TEXTURES), len(SIZES), len(PLACES), len(BACKGROUNDS))
    # More than enough: at most a few test images are met by chance.
    drawn = np.stack([rng.integers(n, size=count + 10 * len(taken)) for n in levels], axis=1)
    objects = np.insert(drawn[:, :3], 0, 0, axis=1)
    concept = np.array([_concept_name(*one) for one in objects])
    file = [f"further/{c}_{k:06d}.jpg" for k, c in enumerate(concept)]
    found = _placed(concept, file, np.zeros(len(drawn), bool), objects, drawn[:, 3:], rng)
    kept = [image for image in range(len(found)) if found.caption(image) not in taken][:count]
    return Stimuli(**{name: values[kept] for name, values in vars(found).items()})


def _placed(
    concept: np.ndarray,
    file: list[str],
    test: np.ndarray,
    objects: np.ndarray,
    scenes: np.ndarray,
    rng: np.random.Generator,
) -> Stimuli:
    """Images of given levels, what varies within a level drawn.

    Args:
        objects: (n, 4) division, shape, colour, texture.
        scenes: (n, 3) size, place, background.
    """
    n = len(file)
    place = scenes[:, 1]
    return Stimuli(
        concept=concept,
        name=np.array(file),
        test=test,
        division=objects[:, 0],
        shape=objects[:, 1],
        colour=objects[:, 2],
        texture=objects[:, 3],
        size=scenes[:, 0],
        place=place,
        background=scenes[:, 2],
        x=0.5 + 0.2 * (place % 3 - 1) + rng.uniform(-0.03, 0.03, n),
        y=0.5 + 0.2 * (place // 3 - 1) + rng.uniform(-0.03, 0.03, n),
        radius=np.array(list(SIZES.values()))[scenes[:, 0]] * rng.uniform(0.92, 1.08, n),
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


def _exchanged(division: str, u: np.ndarray, v: np.ndarray, pixels: float) -> np.ndarray:
    """Where the two colours change places, 0..1, at object coordinates (u, v)."""
    if division == "whole":
        return np.zeros_like(u)
    below = _soft(v, pixels)
    if division == "halved":
        return below
    if division == "quartered":
        right = _soft(u, pixels)
        return below + right - 2 * below * right
    return _soft(np.hypot(u, v) - 0.68, pixels)


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
    ink = _ink(texture, u, v, stimuli.phase[image], radius * size)
    exchanged = _exchanged(DIVISIONS[stimuli.division[image]], u, v, radius * size)
    ink = (ink + exchanged - 2 * ink * exchanged)[..., None]
    surface = base + (second - base) * ink
    # Light from the upper left and a darker rim, so that objects look solid.
    lit = 1.06 - 0.10 * (u + v) - 0.35 * np.clip(1 - inner, 0, 0.5)
    picture = background * (1 - 0.35 * shadow[..., None])
    picture = picture + (surface * lit[..., None] - picture) * mask[..., None]
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def render_all(stimuli: Stimuli, size: int) -> np.ndarray:
    """Draw all images: (images, size, size, 3) uint8."""
    images = np.empty((len(stimuli), size, size, 3), dtype=np.uint8)
    for image in range(len(stimuli)):
        images[image] = render(stimuli, image, size)
    return images


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """JPEG file of an image (size, size, 3) uint8."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()
