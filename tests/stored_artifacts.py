"""A small artifact of every contract, how each is read, and a digest of what was read."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from artifact_examples import examples
from PIL import Image

from spikeline.artifacts import (
    decodings,
    evaluations,
    forecasts,
    provenance,
    sessions,
)
from spikeline.artifacts.formats import safetensors_file
from spikeline.artifacts.images import reconstruction_scores
from spikeline.bridge.aligned_member import AffineMap, AlignedMember
from spikeline.bridge.decoder import Decoder
from spikeline.bridge.generators import ip_adapter
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.pretraining.pretrained import Pretrained
from spikeline.bridge.reconstruction import diffusion_adapter
from spikeline.bridge.reconstruction.factor_reader import FactorReader
from spikeline.bridge.reconstruction.reconstructor import EMBEDDING, Prediction, Reconstructor
from spikeline.bridge.reconstruction.standardising import Moments
from spikeline.bridge.targets import TargetSpace
from spikeline.horizon.forecaster import checkpoint as forecaster
from spikeline.horizon.regression import checkpoint as regression
from spikeline.horizon.regression.model import ARRAYS, Regression
from spikeline.settings.steps import completed
from spikeline.sources import stimuli

Write = Callable[[Path], None]
Read = Callable[[Path], Any]


def record() -> dict[str, Any]:
    return {"step": "stored", "origins": {}, "versions": {"spikeline": provenance.__version__}}


def artifacts() -> Iterator[tuple[str, Write, Read]]:
    """(name of the file, what writes it, what reads it) of every contract."""
    told = record()
    for name, (contract, values) in examples().items():
        yield (
            f"{name}.h5",
            lambda path, contract=contract, values=values: contract.write(path, values, told),
            contract.read,
        )
    yield "session.h5", lambda path: sessions.save(path, _session(), told), sessions.read
    yield "evaluations.json", lambda p: evaluations.write(p, _evaluation(), told), evaluations.read
    yield "forecasts.json", lambda p: forecasts.write(p, _forecasts(), told), forecasts.read
    yield "decodings.json", lambda p: decodings.write(p, _decodings(), told), decodings.read
    yield (
        "reconstruction_scores.json",
        lambda path: reconstruction_scores.write(path, _scores(), told),
        reconstruction_scores.read,
    )
    yield "decoder.safetensors", lambda p: _decoder().save(p, record=told), Decoder.load
    yield (
        "regression.safetensors",
        lambda path: regression.save(path, _regression(), told),
        regression.load,
    )
    yield (
        "forecaster.safetensors",
        lambda path: forecaster.save(path, _forecaster(), told),
        forecaster.load,
    )
    yield "reconstructor.safetensors", lambda p: _reconstructor().save(p, told), Reconstructor.load
    yield (
        "reconstructor_of_factors.safetensors",
        lambda path: dataclasses.replace(_reconstructor(), factor_reader=_factor_reader()).save(
            path, told
        ),
        Reconstructor.load,
    )
    yield "pretrained.safetensors", lambda path: _pretrained().save(path, told), Pretrained.load
    yield (
        "diffusion_adapter.safetensors",
        lambda path: diffusion_adapter.save(path, *_adapter(), told),
        diffusion_adapter.load,
    )
    yield (
        "ip_adapter.safetensors",
        lambda path: ip_adapter.save(path, {"image_proj": _numbers(2, 3)}, {"tokens": 4}, told),
        lambda path: safetensors_file.read(path, ip_adapter.CONTRACT),
    )
    yield "stimuli.zip", _write_stimuli, _read_stimuli


# Fields that came after a version was stored: None of its files, and no part of their digest.
_ADDED = {"factor_reader"}


def digest(value: Any) -> str:
    """Of everything that a reader returned: arrays by dtype, shape and bytes."""
    return hashlib.sha256(repr(_plain(value)).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, torch.nn.Module):
        return _plain(value.state_dict())
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OU":
            return [str(item) for item in value.ravel()], value.shape
        return value.dtype.str, value.shape, value.tobytes().hex()
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        added = {name for name in _ADDED if fields.get(name, 0) is None}
        return _plain({name: inner for name, inner in fields.items() if name not in added})
    if isinstance(value, Mapping):
        return sorted((str(key), _plain(inner)) for key, inner in value.items() if key != "seal")
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if hasattr(value, "keys"):
        # torch_brain's containers.
        return sorted(
            (name, _plain(getattr(value, name)))
            for name in value.keys()  # noqa: SIM118
            if name not in ("provenance", "seal")
        )
    return repr(value.item() if isinstance(value, np.generic) else value)


def _numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _session():
    domains = {"train": [[20, 40]], "valid": [[40, 50]], "test": [[50, 60]], "reference": (0, 20)}
    start = np.arange(0, 50, 10.0)
    return sessions.build(
        times=np.sort(np.random.default_rng(0).uniform(0, 59, 20)),
        unit_index=np.arange(20) % 2,
        units={
            "id": np.array(["u0", "u1"], object),
            "region": np.array(["VISp", ""], object),
            "depth": np.array([10, np.nan], np.float32),
        },
        duration=60.0,
        domains={name: np.array(spans, float) for name, spans in domains.items()},
        session={"id": "one", "source": "arrays", "subject": "m", "origin_s": 0.0},
        behaviour=sessions.Behaviour("wheel", 1.0, _numbers(60), _numbers(60)),
        trials={"start": start, "end": start + 4, "choice": np.ones(5), "go_times": start},
        stimuli={"start": start, "end": start + 1, "image": np.array(["a.png", ""] * 2 + ["b"])},
    )


def _evaluation():
    ranks = evaluations.Ranks(np.array([0.0, 1.0, 2.0]), np.zeros(3, int))
    curve = evaluations.RepetitionCurve(np.array([1, 2]), np.ones((2, 3)), np.ones((2, 3)))
    draw = evaluations.Draw(ranks, ranks, np.array([0.5, 0.25, 0.125]), [0, 1])
    images = np.array(["a.png", "b.png", "µ.png"], object)
    seed = evaluations.SeedEvaluation(0, images, [("x",), (), ("x", "y")], [draw], curve, 2)
    return evaluations.Evaluation({"test_repetitions": 2}, "clip:1", [seed], {"members": 1})


def _forecasts():
    blocks = {name: np.array([1.0, 0.0, 2.0]) for name in forecasts.STEPS}
    units = {name: np.array([1.5, 2.5]) for name in (*forecasts.NLLS, "correlation")}
    one = forecasts.Sums(3, 12, blocks, units, 0.25)
    session = forecasts.SessionForecasts("seen", "ibl", 2, {"seed0": {"100": one}})
    return forecasts.Forecasts({"horizons": [100]}, {"one": session}, {"parameters": 7})


def _decodings():
    sums = np.array([1.0, 2.0])
    one = decodings.Decoded({"parameters": 10}, sums, 2 * sums)
    alone = decodings.Decodings(
        "one", "ibl", "wheel", 2, 0, {"mean": 0.0, "std": 2.0}, {"dim": 8},
        np.array([0, 1]), np.array([5, 6]), dict.fromkeys(decodings.ALONE, one),
    )  # fmt: skip
    return [alone]


def _scores():
    seed = reconstruction_scores.SeedScores(
        0, np.array(["a", "b"], object), {"pixcorr": np.array([0.1, -0.2])},
        {"pixcorr": np.zeros(2)}, {"frechet": 12.5},
    )  # fmt: skip
    measures = {"pixcorr": "pixels", "frechet": "frechet", "swav": "distance"}
    return reconstruction_scores.ReconstructionScores(
        {"pixel_size": None}, measures, [seed], {"swav": "no weights"}, {"generator": "tiny"}
    )


def _decoder():
    responses, images = np.abs(_numbers(12, 4)), _numbers(12, 3)
    chosen = np.array([0, 2])
    scaler = ResponseScaler.fit(responses[:, chosen], "sqrt")
    affine = AffineMap(_numbers(2, 2), _numbers(2))
    target = TargetSpace.fit(images, 2, whitening=0.5)
    return Decoder(4, (AlignedMember(chosen, scaler, affine, target),), {"settings": {"k": 1}})


def _regression():
    arrays = {name: _numbers(2, 2) for name in ARRAYS}
    return regression.SessionRegression(
        "one", "seen", ["u0", "u1"], {"kind": "regression"}, Regression(**arrays, bin_s=0.02)
    )


def _forecaster():
    settings = completed(
        "train-forecaster",
        {"kind": "shared_glm", "traces_s": [0.5], "horizon_ms": 40, "lead_bins": 2},
    )
    model = forecaster.build(settings, 0.02, torch.zeros(1), torch.ones(1), 0, 0)
    return forecaster.TrainedForecaster(model, settings, 0.02, 0.2, ["one"], [], 0, "", 3)


def _reconstructor():
    moments = Moments(_numbers(3), np.ones(3, np.float32))
    prediction = Prediction(moments, moments, AffineMap(_numbers(2, 3), _numbers(3)))
    scaler = ResponseScaler.fit(np.abs(_numbers(6, 2)))
    return Reconstructor(
        4, np.array([1, 3]), scaler, {EMBEDDING: prediction}, (1, 2, 2), {"standardise": "none"},
        np.array(["a.png", "µ.png"], object), {"guidance": 2.0}, {"encoder": "clip:1"},
    )  # fmt: skip


def _factor_reader():
    levels = {"shape": ["ring", "star"], "hue": ["red"]}
    rows = np.arange(4) % 2
    labels = {name: np.array(own)[rows % len(own)] for name, own in levels.items()}
    return FactorReader.fit(_numbers(4, 2), labels, np.arange(4))


def _pretrained():
    return Pretrained(
        {"dim": 4}, 5, np.array([0, 2]), ["V1", "IT"], [0.0, 25.0], {"weight": _numbers(2, 2)},
        {"bias": _numbers(2)}, {"masked_mse": 0.5}, 1,
    )  # fmt: skip


def _adapter():
    sizes = {"context_tokens": 1, "heads": 1, "layers": 1, "dropout": 0.0}
    torch.manual_seed(0)
    return diffusion_adapter.DiffusionAdapter(3, 2, 4, **sizes).eval(), sizes, {"encoder": "clip"}


def _write_stimuli(path: Path) -> None:
    folder = path.parent / "pictures"
    folder.mkdir()
    for number in range(2):
        pixels = np.full((4, 5, 3), 100 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"µ {number}.png")
    stimuli.pack(folder, path, provenance.dumps(record()))


def _read_stimuli(path: Path) -> Any:
    names = stimuli.names(path)
    return names, [np.asarray(image) for image in stimuli.load(path, names)]
