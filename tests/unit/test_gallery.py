"""Galleries: which images are in view, and that nothing is drawn over anything else."""

import numpy as np
import pytest

from spikeline import plotting


def test_a_gallery_is_spread_from_the_best_image_to_the_worst():
    scores = np.array([0.3, 0.9, 0.1, 0.5, 0.7])
    assert plotting.spread(scores, scores, 3).tolist() == [1, 3, 2]
    assert plotting.spread(scores, scores, 10).tolist() == [1, 4, 3, 0, 2]


def test_ties_are_decided_by_the_second_score():
    scores, ties = np.array([1.0, 1.0, 0.0]), np.array([0.2, 0.6, 0.9])
    assert plotting.spread(scores, ties, 3).tolist() == [1, 0, 2]


@pytest.mark.parametrize("columns", [2, 4, 9])
def test_images_headings_scores_and_caption_do_not_overlap(columns):
    images = np.zeros((5, 8, 8, 3), np.uint8)
    names = ["shown", *(f"a_decoder_of_long_name@source={k}" for k in range(columns - 1))]
    caption = "what is drawn here " * 12
    figure = plotting.gallery_figure(
        {name: images for name in names}, ["1 of 9\ntwo-way CLIP 1.00"] * 5, "A title", caption
    )
    plotting.gallery_figure({"shown": images}, [""] * 5, "A title")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    boxes = [image.get_window_extent() for image in figure.axes[0].images]
    boxes += [text.get_window_extent() for text in figure.texts]
    assert len(boxes) == 5 * columns + columns + 5 + 2  # title and caption among the texts
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            assert not one.padded(-0.5).overlaps(other.padded(-0.5))
    whole = figure.bbox
    assert all(whole.x0 - 1 <= b.x0 and b.x1 <= whole.x1 + 1 for b in boxes)
    assert all(whole.y0 - 1 <= b.y0 and b.y1 <= whole.y1 + 1 for b in boxes)
