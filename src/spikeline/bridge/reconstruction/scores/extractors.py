"""Feature extractors behind one interface: from images to named features that are compared.

Each entry of the config's `extractors` gives some features, and each feature some measures: two-way
identification, a distance, or, of an encoder, N-way identification and similarity. An extractor
whose weights cannot be had makes its measures missing, with the reason; nothing else is affected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from spikeline.artifacts.embeddings import OUTPUT
from spikeline.bridge.images import encoders as image_encoders
from spikeline.bridge.reconstruction.scores import factor_classifier
from spikeline.bridge.reconstruction.scores.downloads import PICKLED, REASON, WEIGHTS, check_model
from spikeline.errors import InputError
from spikeline.settings.schema import unknown

# What torchvision's networks are trained on, and what the published evaluations normalise by.
_MEAN, _SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Further arguments of networks whose weights were trained with them.
_BUILT_WITH = {
    name: {"transform_input": True, "init_weights": False} for name in ("inception_v3", "googlenet")
}
_CONVERT = (
    'python -c "import sys, torch, safetensors.torch as s; '
    's.save_file(torch.load(sys.argv[1], weights_only=True), sys.argv[2])"'
)

# (n, height, width, 3) uint8 to {feature: (n, dimensions) float32}.
Extract = Callable[[np.ndarray], dict[str, np.ndarray]]
# (n, height, width, 3) uint8 to {factor: n levels}, such as the shape of the object.
Answer = Callable[[np.ndarray], dict[str, np.ndarray]]


class WeightsMissingError(Exception):
    """The weights of an extractor are neither here nor to be had; says why and what to do."""


@dataclass(frozen=True)
class Weights:
    """Where the weights of an extractor are.

    Attributes:
        local: a file or folder that was made here or that the config names.
        cache: a folder that `fetch-extractor` or `fetch-weights` made.
    """

    local: str | None = None
    cache: str | None = None


@dataclass(frozen=True)
class Extractor:
    """One entry, ready to run.

    Attributes:
        extract: its features of images.
        answer: of a classifier, the factors that it reads in images; else None.
    """

    extract: Extract
    answer: Answer | None = None


def measures(entry: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """{feature: {family: measure}} of an entry, known without its weights.

    Families are those of `artifacts.reconstruction_scores`. The measure of a comparison has the
    feature's own name, `alexnet2`; others have more: `clip_top1`, `frechet_clip`.
    """
    found = {}
    for feature, compare in _features(entry).items():
        families = {compare: feature}
        if entry["kind"] == "encoder":
            names = ("similarity", "top1", "top5")
            families |= {name: f"{feature}_{name}" for name in names}
        if entry.get("frechet"):
            families["frechet"] = f"frechet_{feature}"
        found[feature] = families
    return found


def answers(entry: Mapping[str, Any]) -> dict[str, str]:
    """{factor: measure} of a classifier's entry; none of any other."""
    return {factor: f"{factor}_correct" for factor in entry.get("factors", ())}


def load(
    name: str,
    entry: Mapping[str, Any],
    weights: Weights,
    device: torch.device,
    encoders: Mapping[str, Mapping[str, Any]] | None = None,
) -> Extractor:
    """An entry of `extractors`, ready on `device`.

    Args:
        name: of the entry, for errors.
        entry: its resolved settings.
        weights: where they are.
        encoders: the settings of the entries of `encoders` that a kind `encoder` may name.

    Raises:
        WeightsMissingError: they are neither here nor downloaded.
        InputError: an unknown model or node, pickled or damaged weights, or those of another model.
    """
    if entry["kind"] == "encoder":
        return Extractor(_encoder(name, entry, weights, device, encoders or {}))
    if entry["kind"] == "demo_classifier":
        return _classifier(name, entry, weights, device)
    return Extractor(_network(name, entry, weights, device))


def _features(entry: Mapping[str, Any]) -> dict[str, str]:
    """{feature: how it is compared} of an entry."""
    match entry["kind"]:
        case "torchvision":
            return dict.fromkeys(entry["nodes"], entry["compare"])
        case "swav":
            return {"swav": "distance"}
        case "encoder":
            return {entry["measure"]: "two_way"}
    return dict.fromkeys(factor_classifier.FEATURES, "two_way")


# --- networks of torchvision ----------------------------------------------------------------------


def _network(
    name: str, entry: Mapping[str, Any], weights: Weights, device: torch.device
) -> Extract:
    """A network of torchvision, filled and cut at its entry's nodes."""
    from torchvision.models import get_model
    from torchvision.models.feature_extraction import (
        create_feature_extractor,
        get_graph_node_names,
    )

    if entry["kind"] == "swav":
        model, nodes = get_model("resnet50", weights=None), {"swav": "avgpool"}
        model.fc = torch.nn.Identity()
    else:
        chosen, nodes = entry["model"], entry["nodes"]
        check_model(name, chosen)
        model = get_model(chosen, weights=None, **_BUILT_WITH.get(chosen, {}))
    model.eval()
    _, names = get_graph_node_names(model)
    for node in nodes.values():
        # A module may be named as well: its last operation is meant.
        if not any(one == node or one.startswith(f"{node}.") for one in names):
            raise unknown("node", node, names, f"extractors.{name}.nodes")
    _fill(model, _weights_file(name, entry, weights), name)
    # {node: feature}: the schema has every node once.
    returned = {node: feature for feature, node in nodes.items()}
    cut = create_feature_extractor(model, returned).eval().to(device)

    @torch.inference_mode()
    def extract(pixels: np.ndarray) -> dict[str, np.ndarray]:
        parts: dict[str, list[np.ndarray]] = {}
        for batch in _batches(pixels, entry["batch_size"]):
            found = cut(_normalised(batch, entry["size"], device))
            for feature, values in found.items():
                parts.setdefault(feature, []).append(values.flatten(1).float().cpu().numpy())
        return {feature: np.concatenate(rows) for feature, rows in parts.items()}

    return extract


def _normalised(pixels: np.ndarray, size: int, device: torch.device) -> torch.Tensor:
    """(n, 3, size, size) as torchvision's networks take images, resized with antialiasing."""
    from torchvision.transforms.v2 import functional

    values = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2)
    values = functional.resize(values.float() / 255, [size, size], antialias=True)
    return functional.normalize(values, _MEAN, _SD)


def _weights_file(name: str, entry: Mapping[str, Any], weights: Weights) -> Path:
    """The safetensors file that an entry's network is filled from."""
    key = f"extractors.{name}.weights"
    if weights.local:
        path = Path(weights.local)
        if path.suffix in PICKLED:
            converted = path.with_suffix(".safetensors").name
            raise InputError(
                f"{path}: pickled weights are not read, since a pickle may run code; convert them "
                f"once, {_CONVERT} {path.name} {converted}, and name that file as {key}"
            )
        if not path.is_file():
            raise InputError(f"{path}: no such file; correct {key}")
        return path
    what = "SwAV's ResNet-50" if entry["kind"] == "swav" else f"torchvision's {entry['model']}"
    then = f"name a .safetensors file of {what} as {key}"
    if not weights.cache:
        raise WeightsMissingError(f"none are given; {then}")
    path = Path(weights.cache) / WEIGHTS
    if not path.is_file():
        told = Path(weights.cache) / REASON
        reason = told.read_text(encoding="utf-8").strip() if told.is_file() else f"no {path}"
        raise WeightsMissingError(
            f"{reason}; {then}, or delete {weights.cache} and rerun with a network"
        )
    return path


def _fill(model: torch.nn.Module, path: Path, name: str) -> None:
    """Load weights, as torchvision or SwAV's training saved them, into a network.

    Raises:
        InputError: damaged, or of another network.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read ({reason}); fetch or convert it again") from None
    own = model.state_dict()
    state = {key.removeprefix("module."): value for key, value in state.items()}
    if isinstance(getattr(model, "fc", None), torch.nn.Identity):
        # The heads of classification, projection and prototypes: what is compared comes before.
        heads = ("fc.", "projection_head.", "prototypes.")
        state = {key: value for key, value in state.items() if not key.startswith(heads)}
    wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
    # Old checkpoints lack the counters of batch normalisation, which inference does not read.
    wrong = [key for key in wrong if not key.endswith("num_batches_tracked")]
    wrong += [key for key in state if key not in own]
    if wrong:
        raise InputError(
            f"{path}: does not hold the weights of extractors.{name} (first at {wrong[0]!r}); "
            "give those of the model that the entry names"
        )
    model.load_state_dict(state, strict=False)


# --- encoders and the demo's classifier -----------------------------------------------------------


def _encoder(
    name: str,
    entry: Mapping[str, Any],
    weights: Weights,
    device: torch.device,
    encoders: Mapping[str, Mapping[str, Any]],
) -> Extract:
    """The output of an entry of `encoders`, by the code that embeds the images."""
    known = {key: one for key, one in encoders.items() if one["kind"] != "precomputed"}
    if entry["encoder"] not in known:
        raise unknown("encoder", entry["encoder"], known, f"extractors.{name}.encoder")
    settings = {**known[entry["encoder"]], "layers": []}
    if settings["kind"] == "demo_clip" and not weights.local:
        raise WeightsMissingError(f"none are given; train encoder {entry['encoder']!r} first")
    try:
        encode, preprocess = image_encoders.load(settings, weights.local, device, weights.cache)
    except InputError as error:
        # Weights here that cannot be read are a mistake; those of a hub may be out of reach.
        if weights.local:
            raise
        raise WeightsMissingError(str(error)) from None

    @torch.inference_mode()
    def extract(pixels: np.ndarray) -> dict[str, np.ndarray]:
        rows = []
        for batch in _batches(pixels, entry["batch_size"]):
            images = torch.stack([preprocess(Image.fromarray(one)) for one in batch])
            rows.append(encode(images.to(device))[OUTPUT].float().cpu().numpy())
        return {entry["measure"]: np.concatenate(rows)}

    return extract


def _classifier(
    name: str, entry: Mapping[str, Any], weights: Weights, device: torch.device
) -> Extractor:
    if not weights.local:
        raise WeightsMissingError(f"none are given; train extractor {name!r} first")
    model, levels = factor_classifier.load(weights.local)
    if list(levels) != list(entry["factors"]):
        raise InputError(
            f"{weights.local}: reads {', '.join(levels)}, expected {', '.join(entry['factors'])} "
            f"as extractors.{name}.factors; train it again"
        )
    model.to(device)
    return Extractor(
        lambda pixels: factor_classifier.features(model, pixels),
        lambda pixels: factor_classifier.read(model, levels, pixels),
    )


def _batches(pixels: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for first in range(0, len(pixels), size):
        yield np.asarray(pixels[first : first + size])
