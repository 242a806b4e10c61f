"""The subcommand `tabulate-reconstructions`: its files, its galleries, and bad input."""

import json

import numpy as np
import pytest
from PIL import Image

from spikeline.artifacts import provenance, tables
from spikeline.artifacts.images import reconstruction_scores, reconstructions
from spikeline.artifacts.images.reconstruction_scores import ReconstructionScores, SeedScores
from spikeline.artifacts.images.reconstructions import Reconstructions
from spikeline.bridge.reconstruction.scores.table import reconstruction_table
from spikeline.cli import tabulate_reconstructions
from spikeline.cli.main import main
from spikeline.sources import stimuli

NAMES = np.array([f"c/{k:02d}.png" for k in range(12)], object)
CONDITIONS = [
    {"model": "unclip", "subject": "monkeyF", "varied": {}},
    {"model": "retrieval", "subject": "monkeyF", "varied": {}},
    {"model": "unclip@source=random", "subject": "monkeyF", "varied": {}},
    {"model": "unclip@source=image", "subject": "monkeyF", "varied": {}},
]


def scored(number):
    """Seed 0 identifies image k the better the higher k is; the other seed differs."""
    random = np.random.default_rng(number)
    seeds = []
    for seed in range(2):
        rising = np.linspace(0, 1, len(NAMES)) if seed == 0 else random.random(len(NAMES))
        values = {"pixcorr": random.random(len(NAMES)), "ssim": random.random(len(NAMES))}
        others = {name: random.random(len(NAMES)) for name in (*values, "clip")}
        seeds.append(SeedScores(seed, NAMES, {**values, "clip": rising}, others))
    families = {"pixcorr": "pixels", "ssim": "pixels", "clip": "two_way", "swav": "distance"}
    return ReconstructionScores({}, families, seeds, {"swav": "weights missing: none are given"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    random = np.random.default_rng(0)
    (folder / "images" / "c").mkdir(parents=True)
    for name in NAMES:
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
            folder / "images" / name
        )
    stimuli.pack(folder / "images", folder / "s.zip", provenance.dumps({"origins": {}}))
    for number in range(len(CONDITIONS)):
        pixels = random.integers(0, 256, (len(NAMES), 16, 16, 3), dtype=np.uint8)
        more = {"low_level": pixels // 2, "retrieved": NAMES[::-1]} if number < 2 else {}
        made = Reconstructions(NAMES, pixels, "tiny:1", {}, **more)
        reconstructions.write(folder / f"r{number}.h5", made, {"origins": {}})
        reconstruction_scores.write(folder / f"s{number}.json", scored(number), {"origins": {}})
    return folder


def run(folder, output, *more, conditions=CONDITIONS):
    numbers = range(len(CONDITIONS))
    return main(
        [
            "tabulate-reconstructions",
            *("--scores", *(str(folder / f"s{k}.json") for k in numbers)),
            *("--reconstructions", *(str(folder / f"r{k}.h5") for k in numbers)),
            *("--stimuli", str(folder / "s.zip"), "--conditions", json.dumps(conditions)),
            *("--title", "Images back", "--resamples", "50"),
            *("--output", str(output / "t.tsv"), "--figure", str(output / "t.png")),
            *map(str, more),
        ]
    )


def test_it_makes_a_table_a_caption_a_figure_and_galleries_each_with_provenance(folder, tmp_path):
    more = ("--gallery", tmp_path / "g.png", "--pages", tmp_path / "pages")
    assert run(folder, tmp_path, *more) == 0
    table = tables.read(tmp_path / "t.tsv")
    assert table["row"].tolist() == ["reference", "model", "control", "ceiling"]
    first, last = (tmp_path / "t.txt").read_text().splitlines()
    assert first.startswith("monkeyF: By two-way CLIP identification ")
    assert last == "swav: not computed: weights missing: none are given."
    pages = sorted(path.name for path in (tmp_path / "pages").glob("*.png"))
    assert pages == sorted(f"monkeyF.{condition['model']}.png" for condition in CONDITIONS)
    for path in ("t.tsv", "t.txt", "t.png", "g.png", "pages", f"pages/{pages[0]}"):
        record = provenance.read(tmp_path / path)
        assert record["step"] == "tabulate-reconstructions"
        assert len(record["inputs"]) == 2 * len(CONDITIONS) + 1


def test_the_same_files_give_the_same_bytes(folder, tmp_path):
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert run(folder, tmp_path / name, "--gallery", tmp_path / name / "g.png") == 0
        written.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert written[0] == written[1]


def pages_of(folder):
    scores = [scored(number) for number in range(len(CONDITIONS))]
    made = [reconstructions.read(folder / f"r{k}.h5") for k in range(len(CONDITIONS))]
    table = reconstruction_table(scores, CONDITIONS, 20)
    return tabulate_reconstructions.Pages(table, scores, made, str(folder / "s.zip")), made


def images_of(figure):
    """The drawn images, row by row from the top and from the left."""
    (axes,) = figure.axes
    corners = [(image.get_extent()[::2], image.get_array()) for image in axes.images]
    return [array for _, array in sorted(corners, key=lambda c: (-round(c[0][1], 4), c[0][0]))]


def written_on(figure):
    return [text.get_text() for text in figure.texts]


def test_a_page_runs_from_the_best_to_the_worst_image_of_the_seed_that_it_shows(folder):
    pages, made = pages_of(folder)
    figure = pages.page(0)
    drawn = images_of(figure)
    assert len(drawn) == 10 * 4
    # Shown, low level, reconstructed, retrieved; seed 0 identifies the last image best.
    np.testing.assert_array_equal(drawn[2], made[0].pixels[11])
    np.testing.assert_array_equal(drawn[1], made[0].low_level[11])
    np.testing.assert_array_equal(drawn[-2], made[0].pixels[0])
    shown = list(stimuli.load(folder / "s.zip", NAMES))
    np.testing.assert_array_equal(drawn[0], shown[11])
    np.testing.assert_array_equal(drawn[3], shown[0])
    text = written_on(figure)
    assert [t for t in text if t in ("shown", "low level", "reconstructed", "retrieved")] == [
        "shown", "low level", "reconstructed", "retrieved",
    ]  # fmt: skip
    rows = [one for one in text if "PixCorr" in one]
    assert rows[0].startswith("1 of 12\ntwo-way CLIP 1.00")
    assert rows[-1].startswith("12 of 12\ntwo-way CLIP 0.00")


def test_all_pages_together_open_the_archive_once(folder, monkeypatch):
    pages, _ = pages_of(folder)
    load, opened = stimuli.load, []
    monkeypatch.setattr(
        stimuli, "load", lambda path, names: opened.append(path) or load(path, names)
    )
    for index in range(len(CONDITIONS)):
        pages.page(index)
    assert len(opened) == 1


def test_the_comparison_alone_needs_no_retrieved_image(folder):
    pages, made = pages_of(folder)
    for one in made:
        if one.retrieved is not None:
            one.retrieved[:] = "of/another_archive.jpg"
    pages.comparison("Images back")


def test_a_page_has_only_the_columns_that_there_are(folder):
    pages, _ = pages_of(folder)
    text = written_on(pages.page(2))
    assert "reconstructed" in text and "low level" not in text and "retrieved" not in text


def test_the_comparison_shows_the_same_images_by_every_condition(folder):
    pages, made = pages_of(folder)
    figure = pages.comparison("Images back")
    drawn = images_of(figure)
    assert len(drawn) == 8 * 5
    for condition, one in enumerate(made):
        np.testing.assert_array_equal(drawn[1 + condition], one.pixels[11])
        np.testing.assert_array_equal(drawn[-4 + condition], one.pixels[0])
    text = "\n".join(written_on(figure))
    assert "(control)" in text and "(ceiling)" in text and "the worst of unclip by" in text


def test_controls_are_drawn_as_controls_and_others_beside_what_other_responses_give():
    scores = [scored(number) for number in range(len(CONDITIONS))]
    table = reconstruction_table(scores, CONDITIONS, 20)
    figure = tabulate_reconstructions.draw(table, "Images back")
    crosses = [
        (line.get_xdata(), line.get_ydata())
        for line in figure.axes[0].lines
        if line.get_marker() == "x"
    ]
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    (values, heights), *_ = crosses
    expected = [*table["others_clip"][:2], table["clip"][2], table["others_clip"][3]]
    np.testing.assert_allclose(np.asarray(values, float), np.asarray(expected, float))
    assert np.isnan(np.asarray(points[0].get_xdata(), float)).tolist() == [False] * 2 + [
        True,
        False,
    ]
    assert len(heights) == 4


@pytest.mark.parametrize(
    ("more", "conditions", "said"),
    [
        ([], CONDITIONS[:3], "--conditions: 3 for 4 scores"),
        (["--resamples", "0"], CONDITIONS, "--resamples"),
        (["--reconstructions", "x.h5"], CONDITIONS, "--conditions: 4 for 1 reconstructions"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    folder, tmp_path, capsys, more, conditions, said
):
    assert run(folder, tmp_path, *more, conditions=conditions) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"spikeline tabulate-reconstructions: {said}")
    assert not list(tmp_path.iterdir())


def test_a_gallery_needs_the_images(folder, tmp_path, capsys):
    given = [
        "tabulate-reconstructions", "--scores", str(folder / "s0.json"), "--conditions",
        json.dumps(CONDITIONS[:1]), "--output", str(tmp_path / "t.tsv"), "--figure",
        str(tmp_path / "t.png"), "--resamples", "20",
    ]  # fmt: skip
    assert main([*given, "--gallery", str(tmp_path / "g.png")]) == 1
    assert "need --reconstructions and --stimuli" in capsys.readouterr().err
    assert main(given) == 0
