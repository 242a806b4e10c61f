"""Captions of tables: what they say of differences, of chance and of the control."""

import pandas as pd
import pytest

from spikeline.bridge.captions import caption


def share(name, value, low, high):
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def row(regions, top1, difference=None, kind="model", subject="monkeyF", model=None):
    """A row of a table; scores and differences as (value, low, high)."""
    named = model or f"mlp@regions={regions}"
    return {
        "model": named, "regions": regions, "subject": subject, "row": kind, "gallery": 100,
        **share("neural_to_image_top1", *top1),
        **share("difference_top1", *(difference or (None, None, None))),
        "chance_top1": 0.01,
    }  # fmt: skip


REFERENCE = row("V1+V4+IT", (0.7, 0.61, 0.79), kind="reference", model="mlp")
IT = row("IT", (0.66, 0.57, 0.75), (-0.04, -0.14, 0.06))
V1 = row("V1", (0.25, 0.17, 0.33), (-0.45, -0.56, -0.3425))
CONTROL = row("V1+V4+IT", (0.012, 0.003, 0.023), (-0.688, -0.78, -0.6), kind="control")


def told(*rows):
    return caption(pd.DataFrame(rows, dtype=object))


def test_a_caption_tells_the_reference_each_difference_and_the_control():
    assert told(REFERENCE, IT, V1, CONTROL) == (
        "monkeyF, regions=V1+V4+IT: 70 % of responses identify their image among 100 [61, 79]; "
        "chance is 1 %. Compared with it image by image, regions=IT is lower by 4 points, an "
        "interval that includes zero [-14, 6]; regions=V1 is lower by 45 points [-56, -34.2]. "
        "The control, the same model trained on broken pairs, is at chance "
        "(1.2 % [0.3, 2.3], chance 1 %)."
    )


def test_a_caption_of_groups_has_a_line_for_each_and_says_on_whom_a_model_was_tested():
    first_group = [
        row("", (0.5, 0.4, 0.6), kind="reference", model="ridge", subject="monkeyN"),
        row("", (0.7, 0.6, 0.8), (0.2, 0.1, 0.3), model="ridge", subject="both"),
    ]
    second_group = [
        row("", (0.2, 0.1, 0.3), kind="reference", model="mlp", subject="monkeyN"),
        row("", (0.3, 0.2, 0.4), (0.1, 0.05, 0.2), model="linear", subject="monkeyN"),
    ]
    groups = {1: first_group, 2: second_group}
    rows = [{**one, "group": number} for number, group in groups.items() for one in group]
    first, second = told(*rows).splitlines()
    assert first.startswith("monkeyN, ridge: 50 %") and "ridge on both is higher by 20" in first
    assert second.startswith("monkeyN, mlp: 20 %") and "linear is higher by 10" in second


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.05, 0.01, 0.09), "regions=IT is higher by 5 points [1, 9]."),
        ((0.01, 0.0, 0.03), "is higher by 1 point, an interval that includes zero [0, 3]."),
        ((-0.05, -0.09, -0.001), "is lower by 5 points [-9, -0.1]."),
        ((0.0, -0.02, 0.02), "is equal, an interval that includes zero [-2, 2]."),
    ],
)
def test_only_an_interval_that_excludes_zero_is_told_as_a_difference(difference, words):
    text = told(REFERENCE, row("IT", (0.7, 0.6, 0.8), difference), CONTROL)
    assert words in text
    assert ("includes zero" in text) == (difference[1] <= 0 <= difference[2])


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ((0.09, 0.05, 0.14), "is NOT at chance (9 % [5, 14], chance 1 %): something other"),
        ((0.02, 0.0, 0.05), "is at chance (2 % [0, 5], chance 1 %)."),
        # No hit in few trials: its interval has no width, and is no finding.
        ((0.0, 0.0, 0.0), "does not exceed chance (0 % [0, 0], chance 1 %)."),
    ],
)
def test_a_control_is_at_chance_only_where_its_interval_says_so(control, words):
    assert words in told(REFERENCE, row("V1+V4+IT", control, (0, 0, 0), kind="control"))


def test_a_table_without_a_control_says_so():
    assert told(REFERENCE, IT).endswith("No control was retrained.")


def test_a_reference_at_chance_is_told_as_such():
    blind = row("V1", (0.02, 0.0, 0.05), kind="reference")
    assert "[0, 5]; that is not above chance, 1 %." in told(blind, CONTROL)


def test_of_many_conditions_those_that_differ_are_counted_and_the_farthest_named():
    better = [row(f"A{k}", (0.8, 0.7, 0.9), (0.1 * k, 0.05 * k, 0.2 * k)) for k in (1, 2)]
    worse = [row("B", (0.5, 0.4, 0.6), (-0.2, -0.3, -0.1))]
    alike = [row(f"C{k}", (0.7, 0.6, 0.8), (0.0, -0.1, 0.1)) for k in range(3)]
    assert (
        "Compared with it image by image, of 6 others 2 are higher (most: regions=A2, by 20 points "
        "[10, 40]); 1 is lower (regions=B, by 20 points [-30, -10]); for 3 the interval of the "
        "difference includes zero."
    ) in told(REFERENCE, *better, *worse, *alike, CONTROL)
    text = told(REFERENCE, *(row(f"C{k}", (0.7, 0.6, 0.8), (0.0, -0.1, 0.1)) for k in range(5)))
    assert "of 5 others for 5 the interval of the difference includes zero." in text
    assert "higher" not in text and "lower" not in text


def test_each_subject_has_a_line_with_its_own_control():
    other = [{**one, "subject": "monkeyN"} for one in (REFERENCE, CONTROL)]
    first, second = told(REFERENCE, IT, CONTROL, *other).splitlines()
    assert first.startswith("monkeyF") and "regions=IT" in first
    assert second.startswith("monkeyN") and "regions=IT" not in second
    assert first.count("The control") == second.count("The control") == 1


def test_a_row_that_shares_no_image_with_the_reference_is_not_compared():
    assert "image by image" not in told(REFERENCE, row("IT", (0.5, 0.4, 0.6)), CONTROL)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (["embedding", "embedding"], None),
        (["embedding", "conv07"], "Rows with another target than `embedding` identify images by"),
        (["conv07", "conv02+conv07"], "These rows identify images by layers of a network: not to"),
    ],
)
def test_identification_by_layers_is_told_apart_from_retrieval(targets, words):
    rows = [{**one, "target": target} for one, target in zip((REFERENCE, IT), targets, strict=True)]
    text = told(*rows)
    assert words in text if words else "layers" not in text
