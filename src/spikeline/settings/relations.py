"""Relations between settings that a schema cannot say: one must fit another, or a list itself.

A relation is a small function whose parameters are the keys that it reads, so it holds wherever
all of them are given. It returns None, or the key to correct and what is wrong with its value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from spikeline.errors import InputError

Broken = tuple[str, str] | None
Relation = Callable[..., Broken]
# Channels of the first stage of bridge/images/what_and_where.py, at the most.
WIDEST_WHAT_AND_WHERE = 64


def check(section: str, kind: str | None, values: Mapping[str, Any], where: str) -> None:
    """Raise InputError on the first relation of an entry that its validated values break.

    Args:
        section: of the config, such as `models`; a section of one object has kind None.
        values: of the entry, or only some of them: relations of missing keys are left out.
        where: the place below which an error names the key.
    """
    for relation in RELATIONS.get((section, kind), ()):
        keys = inspect.signature(relation).parameters
        if not values.keys() >= keys.keys():
            continue
        broken = relation(**{key: values[key] for key in keys})
        if broken is not None:
            key, problem = broken
            raise InputError(f"{where}.{key}: {problem}")


# --- twins ----------------------------------------------------------------------------------------


def _a_concept_for_each_test_image(test_images: int, concepts: int) -> Broken:
    if test_images > concepts:
        return "test_images", f"{test_images} is more than the {concepts} concepts; lower it"
    return None


def _a_training_image_for_each_trial(trials: int, concepts: int, images_per_concept: int) -> Broken:
    images = concepts * images_per_concept
    if trials > images:
        return "trials", f"{trials} is more than the {images} training images; lower it"
    return None


def _a_repetition_for_each_day(repetitions: int, subjects: Mapping[str, Any]) -> Broken:
    for name, subject in subjects.items():
        if subject["days"] > repetitions:
            return "repetitions", (
                f"{repetitions} is fewer than the {subject['days']} recording days of {name}; "
                "raise it"
            )
    return None


def _each_electrode_in_one_area(subjects: Mapping[str, Any]) -> Broken:
    for name, subject in subjects.items():
        ranges = sorted(tuple(r) for region in subject["regions"].values() for r in region)
        starts, ends = zip(*ranges, strict=True)
        if starts != (0, *ends[:-1]) or any(first >= end for first, end in ranges):
            return f"subjects.{name}.regions", (
                "the ranges have a gap or an overlap; cover 0 to the last electrode, each once"
            )
    return None


def _units_ascend(min_units: int, max_units: int) -> Broken:
    return _at_least("max_units", max_units, "min_units", min_units)


def _bad_units_ascend(min_bad_units: int, max_bad_units: int) -> Broken:
    return _at_least("max_bad_units", max_bad_units, "min_bad_units", min_bad_units)


def _slow_gain_ascends(slow_gain_minutes: Sequence[float]) -> Broken:
    return _at_least("slow_gain_minutes", slow_gain_minutes[1], "its first", slow_gain_minutes[0])


def _pictures_are_wide(image_height: int, image_width: int) -> Broken:
    return _at_least("image_width", image_width, "image_height", image_height)


def _sessions_to_simulate(ibl_sessions: int, poor_sessions: int, allen_sessions: int) -> Broken:
    if ibl_sessions + poor_sessions + allen_sessions == 0:
        return "ibl_sessions", "no session is simulated; raise ibl_sessions or allen_sessions"
    # A session's number has two digits in its name, and its date lies in one season.
    if ibl_sessions + poor_sessions > 99:
        return "poor_sessions", f"{poor_sessions} and ibl_sessions are more than 99 together"
    return None


# --- windows of the response ----------------------------------------------------------------------


def _published_windows_ascend(published_windows: Mapping[str, Sequence[int]]) -> Broken:
    return _windows_ascend("published_windows", published_windows)


def _window_of_time_ascends(window: Sequence[int] | None) -> Broken:
    if window is not None and not window[0] < window[1]:
        return "window", f"{list(window)} does not ascend; give [start, end]"
    return None


def _windows_of_areas_ascend(areas: Mapping[str, Sequence[int]]) -> Broken:
    return _windows_ascend("areas", areas)


def _a_window_for_some(window: Sequence[int] | None, areas: Mapping[str, Any]) -> Broken:
    if window is None and not areas:
        return "window", "there is none, and no `areas`; give [start, end] in ms"
    return None


def _bins_of_one_window(
    window: Sequence[int] | None, areas: Mapping[str, Any], bin_ms: int
) -> Broken:
    if not bin_ms:
        return None
    if areas or window is None:
        return "bin_ms", "time bins are those of one window; give `window` and no `areas`"
    if (window[1] - window[0]) % bin_ms:
        return "bin_ms", f"{bin_ms} does not divide the window {list(window)}"
    return None


def _windows_ascend(key: str, windows: Mapping[str, Sequence[int]]) -> Broken:
    for area, (start, end) in windows.items():
        if not start < end:
            return f"{key}.{area}", f"[{start}, {end}] does not ascend; give [start, end]"
    return None


# --- feature extractors ---------------------------------------------------------------------------


def _each_node_once(nodes: Mapping[str, str]) -> Broken:
    first: dict[str, str] = {}
    for measure, node in nodes.items():
        if first.setdefault(node, measure) != measure:
            return f"nodes.{measure}", f"{node} is that of {first[node]} too; name each node once"
    return None


# --- sessions -------------------------------------------------------------------------------------


def _window_ascends(window_s: Sequence[float] | None) -> Broken:
    if window_s is not None and not window_s[0] < window_s[1]:
        return "window_s", f"{list(window_s)} does not ascend; give [start, end]"
    return None


def _parts_leave_a_test(split: Mapping[str, Any]) -> Broken:
    together = split["train"] + split["valid"]
    if split["kind"] == "chronological" and together >= 1:
        return "split.train", f"train and valid are {together:g} together; leave a share to test"
    return None


def _a_fold_of_those_there_are(split: Mapping[str, Any]) -> Broken:
    if split["kind"] == "fold" and split["fold"] > split["folds"]:
        return "split.fold", f"{split['fold']} is more than the {split['folds']} folds"
    return None


# --- encoders -------------------------------------------------------------------------------------


def _a_tower_of_that_width(vision: str, vision_width: int) -> Broken:
    if vision == "what_and_where" and vision_width > WIDEST_WHAT_AND_WHERE:
        return "vision_width", (
            f"{vision_width} channels, but vision what_and_where has at most "
            f"{WIDEST_WHAT_AND_WHERE}"
        )
    return None


def _a_tower_can_be_trained(training: Mapping[str, Any]) -> Broken:
    broken = _a_tower_of_that_width(training["vision"], training["vision_width"])
    return broken and (f"training.{broken[0]}", broken[1])


def _layers_that_can_be_read(training: Mapping[str, Any], layers: Sequence[int]) -> Broken:
    if training["vision"] == "what_and_where" and layers:
        return "layers", "vision what_and_where gives its output alone; leave layers empty"
    return None


# --- autoencoders ---------------------------------------------------------------------------------


def _sides_that_halve(image_size: int, crop: int | None, channels: Sequence[int]) -> Broken:
    # Each level but the first has half the side.
    whole = 2 ** (len(channels) - 1)
    for key, side in (("image_size", image_size), ("crop", crop)):
        if side is not None and side % whole:
            return key, f"{side} is no multiple of {whole}; give one, for {len(channels)} levels"
    if crop is not None and crop > image_size:
        return "crop", f"{crop} is more than image_size, {image_size}; lower it"
    return None


def _sides_to_train_on(training: Mapping[str, Any]) -> Broken:
    broken = _sides_that_halve(training["image_size"], training["crop"], training["channels"])
    return broken and (f"training.{broken[0]}", broken[1])


# --- models of the Bridge -------------------------------------------------------------------------


def _a_bank_holds_all_concepts(bank: str | None, drop_test_concepts: bool) -> Broken:
    if bank is not None and drop_test_concepts:
        return "bank", f"{bank!r} may show concepts of the test; leave out one of the two settings"
    return None


def _a_kernel_on_one_side(encoding_kernels: Sequence[str], decoding_kernels: Sequence[str]):
    sides = {"encoding_kernels": encoding_kernels, "decoding_kernels": decoding_kernels}
    for key, kernels in sides.items():
        if "none" in kernels and len(kernels) > 1:
            return key, "'none' cannot be combined with other kernels"
    if all("none" in kernels for kernels in sides.values()):
        return "encoding_kernels", "both it and decoding_kernels are none; name a kernel for one"
    return None


def _one_of_two_sets_of_concepts(drop_test_concepts: bool, drop_other_concepts: bool) -> Broken:
    if drop_test_concepts and drop_other_concepts:
        return "drop_other_concepts", "it is the control of drop_test_concepts; set one of them"
    return None


def _one_start(pretraining: str, start_from: str | None) -> Broken:
    if pretraining != "none" and start_from is not None:
        return "start_from", "a model starts from pretraining or from another subject; give one"
    return None


def _transfer_has_a_start(pretraining: str, start_from: str | None, transfer: str) -> Broken:
    if transfer == "joint" and pretraining == "none":
        return "transfer", "'joint' needs pretraining: masking"
    if transfer == "identities" and start_from is None:
        return "transfer", "'identities' needs start_from, the subject whose decoder is kept"
    if transfer != "full" and pretraining == "none" and start_from is None:
        return "transfer", f"{transfer!r} needs a start: set pretraining or start_from"
    return None


def _presentations_of_the_test_are_reserved(
    pretraining: str, pretraining_data: str, reserved_repetitions: int
) -> Broken:
    if pretraining != "none" and pretraining_data == "test_phase" and not reserved_repetitions:
        return "reserved_repetitions", "0 leaves pretraining_data: test_phase nothing; raise it"
    return None


# --- forecasters ----------------------------------------------------------------------------------


def _whole_heads(dim: int, heads: int) -> Broken:
    # Rotary embeddings turn pairs of half of each head's features.
    if dim % (4 * heads):
        return "dim", f"{dim} is not a multiple of 4 x heads, {4 * heads}"
    return None


def _whole_patches(history_ms: int, patch_ms: int) -> Broken:
    if history_ms % patch_ms:
        return "history_ms", f"{history_ms} is not a multiple of patch_ms, {patch_ms}"
    return None


def _co_smoothing_hides_some(co_smoothing_groups: int) -> Broken:
    if co_smoothing_groups == 1:
        return "co_smoothing_groups", "1 group would hide all units; give 0 or at least 2"
    return None


def _traces_ascend(traces_s: Sequence[float]) -> Broken:
    if list(traces_s) != sorted(traces_s):
        return "traces_s", f"{list(traces_s)} does not ascend; give them in order"
    return _distinct("traces_s", traces_s)


def _adaptation_reads_traces(adaptation_s: Sequence[float], traces_s: Sequence[float]) -> Broken:
    other = [one for one in adaptation_s if one not in traces_s]
    if other:
        return "adaptation_s", f"{other[0]} is not among traces_s, {list(traces_s)}"
    return _distinct("adaptation_s", adaptation_s)


def _own_traces_differ(own_traces_s: Sequence[float]) -> Broken:
    return _distinct("own_traces_s", own_traces_s)


def _population_traces_differ(population_traces_s: Sequence[float]) -> Broken:
    return _distinct("population_traces_s", population_traces_s)


def _lead_bins_ascend(lead_bins_ms: Sequence[int]) -> Broken:
    if any(later <= earlier for earlier, later in pairwise(lead_bins_ms)):
        return "lead_bins_ms", f"{list(lead_bins_ms)} does not ascend; give distinct ends in order"
    return None


def _a_ridge_for_each_rank(reduced_ranks: Sequence[int], rank_ridges: Sequence[float]) -> Broken:
    if len(reduced_ranks) != len(rank_ridges):
        return "rank_ridges", (
            f"{len(rank_ridges)} for {len(reduced_ranks)} reduced_ranks; give each rank its ridge"
        )
    return None


def _folds_leave_some(folds: int) -> Broken:
    if folds == 1:
        return "folds", "1 fold would leave nothing to fit; give 0 or at least 2"
    return None


# --- the wheel ------------------------------------------------------------------------------------


def _window_reaches_back(window_ms: float, lookahead_ms: float) -> Broken:
    if lookahead_ms >= window_ms:
        return "lookahead_ms", f"{lookahead_ms:g} is not below window_ms, {window_ms:g}"
    return None


def _whole_ridge_bins(window_ms: float, ridge_bin_ms: float) -> Broken:
    bins = round(window_ms / ridge_bin_ms)
    if bins < 1 or abs(bins * ridge_bin_ms - window_ms) > 1e-6:
        return "ridge_bin_ms", f"window_ms, {window_ms:g}, is no multiple of {ridge_bin_ms:g}"
    return None


def _joint_sessions_are_decoded(sessions: Sequence[str], joint: Sequence[str] | None) -> Broken:
    others = [name for name in joint or () if name not in sessions]
    if others:
        return "joint", f"{', '.join(map(repr, others))} is not among sessions; add it there"
    if joint is not None and len(joint) == 1:
        return "joint", f"{joint[0]!r} alone is what sessions decodes; name two or more, or none"
    return None


# --- what several share ---------------------------------------------------------------------------


def _at_least(key: str, value: int, other: str, least: int) -> Broken:
    return (key, f"{value} is less than {other}, {least}; raise it") if value < least else None


def _distinct(key: str, values: Sequence[float]) -> Broken:
    if len(set(values)) < len(values):
        return key, f"{list(values)} has a value twice; give distinct ones"
    return None


_SESSION = (_window_ascends, _parts_leave_a_test, _a_fold_of_those_there_are)
_DECODER = (_one_of_two_sets_of_concepts,)

RELATIONS: dict[tuple[str, str | None], tuple[Relation, ...]] = {
    ("twins", "ventral"): (
        _a_concept_for_each_test_image,
        _a_training_image_for_each_trial,
        _each_electrode_in_one_area,
        _a_repetition_for_each_day,
    ),
    ("twins", "behaving"): (
        _units_ascend,
        _bad_units_ascend,
        _pictures_are_wide,
        _sessions_to_simulate,
        _slow_gain_ascends,
    ),
    ("twins", "place_cells"): (_slow_gain_ascends,),
    ("subjects", "tvsd"): (_published_windows_ascend,),
    ("windows", None): (
        _window_of_time_ascends,
        _windows_of_areas_ascend,
        _a_window_for_some,
        _bins_of_one_window,
    ),
    ("encoders", "demo_clip"): (_a_tower_can_be_trained, _layers_that_can_be_read),
    ("encoders.training", "demo_clip"): (_a_tower_of_that_width,),
    ("autoencoders", "trained"): (_sides_to_train_on,),
    ("autoencoders.training", "trained"): (_sides_that_halve,),
    ("extractors", "torchvision"): (_each_node_once,),
    ("sessions", "ibl"): _SESSION,
    ("sessions", "allen"): _SESSION,
    ("sessions", "arrays"): _SESSION,
    ("session_tables", "ibl"): _SESSION,
    ("session_tables", "arrays"): _SESSION,
    ("models", "retrieval"): (_a_bank_holds_all_concepts,),
    ("models", "img2img"): (_a_bank_holds_all_concepts,),
    ("models", "ridge"): _DECODER,
    ("models", "auto"): _DECODER,
    ("models", "bayesian"): (*_DECODER, _a_kernel_on_one_side),
    ("models", "linear"): _DECODER,
    ("models", "mlp"): _DECODER,
    ("models", "capoyo"): (
        *_DECODER,
        _one_start,
        _transfer_has_a_start,
        _presentations_of_the_test_are_reserved,
    ),
    ("models", "shared_glm"): (_traces_ascend, _co_smoothing_hides_some),
    ("models", "forecaster"): (
        _whole_heads,
        _whole_patches,
        _traces_ascend,
        _adaptation_reads_traces,
        _co_smoothing_hides_some,
    ),
    ("models", "regression"): (
        _own_traces_differ,
        _population_traces_differ,
        _lead_bins_ascend,
        _a_ridge_for_each_rank,
        _folds_leave_some,
    ),
    ("wheel", None): (
        _window_reaches_back,
        _whole_ridge_bins,
        _joint_sessions_are_decoded,
    ),
}
