"""Decoders: both towers, ensembles, files."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from defaults import settings

from spikeline.bridge.aligned_member import AffineMap, AlignedMember, NetworkMap
from spikeline.bridge.bayesian.fitting import fit_bayesian
from spikeline.bridge.decoder import Decoder, combine
from spikeline.bridge.networks.architectures import build_network
from spikeline.bridge.preprocessing import ResponseScaler
from spikeline.bridge.targets import TargetSpace
from spikeline.errors import InputError

RNG = np.random.default_rng(0)
RESPONSES = RNG.gamma(2, 2, (30, 6)).astype(np.float32)
EMBEDDINGS = RNG.standard_normal((30, 9)).astype(np.float32)
NAMES = np.array([f"{image:02d}" for image in range(30)])
BAYESIAN = {"kind": "bayesian", "encoder": "clip", "regions": ["V1"]}


def affine_member(seed=0, electrodes=(0, 2, 5)):
    rng = np.random.default_rng(seed)
    target = TargetSpace.fit(EMBEDDINGS, 4, whitening=0.5)
    coefficients = rng.standard_normal((len(electrodes), 4)).astype(np.float32)
    chosen = np.array(electrodes)
    scaler = ResponseScaler.fit(RESPONSES[:, chosen], "sqrt")
    return AlignedMember(chosen, scaler, AffineMap(coefficients, coefficients[0]), target)


def network_member(kind="mlp", **settings):
    settings = {
        "kind": kind,
        "hidden": 8,
        "depth": 1,
        "dropout": 0.4,
        **(
            {"residual": False, "layer_norm": False}
            if kind == "mlp"
            else {"readout_queries": 2, "region_embedding": True, "checkpointing": False}
        ),
        **settings,
    }
    regions = ["V1"] * 3 + ["IT"] * 3
    network = build_network(settings, 6, regions, 4)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    target = TargetSpace.fit(EMBEDDINGS, 4, normalise=False)
    mapping = NetworkMap(settings, regions, 4, state)
    return AlignedMember(
        np.arange(6), ResponseScaler.fit(RESPONSES), mapping, target
    ), network.eval()


def similarity(decoder):
    return decoder.embed_responses(RESPONSES) @ decoder.embed_images(EMBEDDINGS).T


def test_responses_go_through_selection_scaler_map_and_normalisation():
    member = affine_member()
    roots = np.sqrt(RESPONSES[:, [0, 2, 5]])
    standardised = (roots - roots.mean(0)) / roots.std(0)
    expected = standardised @ member.map.coefficients + member.map.intercept
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = Decoder(6, (member,)).embed_responses(RESPONSES)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["mlp", "capoyo"])
def test_network_members_predict_what_their_network_does_without_dropout(kind):
    member, network = network_member(kind, dim=16, latents=2, heads=1)
    values = torch.from_numpy(member.scaler.apply(RESPONSES))
    with torch.no_grad():
        expected = torch.nn.functional.normalize(network(values[None])[0], dim=-1)
    np.testing.assert_allclose(
        Decoder(6, (member,)).embed_responses(RESPONSES), expected.numpy(), atol=1e-6
    )


def test_an_ensembles_similarity_is_the_mean_of_its_members_cosines():
    decoders = [Decoder(6, (affine_member(seed, (0, 1, seed)),)) for seed in (2, 3, 4)]
    ensemble = combine(decoders)
    np.testing.assert_allclose(
        similarity(ensemble), np.mean([similarity(d) for d in decoders], 0), atol=1e-6
    )
    for rows in (ensemble.embed_responses(RESPONSES), ensemble.embed_images(EMBEDDINGS)):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_the_unit_of_similarity_is_that_of_the_members_or_a_weighted_mean():
    aligned, other = affine_member(0), affine_member(1)
    ratio = fit_bayesian(RESPONSES, EMBEDDINGS, NAMES, settings("fit", **BAYESIAN), 10)
    for members, unit in (
        ((aligned, other), "cosine"),
        ((ratio,), "scaled log-likelihood ratio"),
        ((aligned, ratio), "weighted mean"),
    ):
        assert Decoder(6, members).similarity_unit == unit


def test_combining_ensembles_gives_each_the_same_weight():
    pair = combine([Decoder(6, (affine_member(seed),)) for seed in (1, 2)])
    single = Decoder(6, (affine_member(3),))
    np.testing.assert_allclose(
        similarity(combine([pair, single])), (similarity(pair) + similarity(single)) / 2, atol=1e-6
    )


IMAGES = np.array([f"{row}.jpg" for row in range(30)])


def off_diagonal(decoder):
    return similarity(decoder)[~np.eye(30, dtype=bool)]


def bayesian_decoder():
    from spikeline.bridge.bayesian.fitting import fit_bayesian

    settings = {
        "transform": "none", "target_transform": "none", "target_normalise": False,
        "target_components": 0, "target_layers": [], "layer_mix": "stacked",
        "noise_rank": 0,
        "encoding_kernels": ["linear"], "decoding_kernels": ["linear"],
    }  # fmt: skip
    return Decoder(6, (fit_bayesian(RESPONSES, EMBEDDINGS, IMAGES, settings, 10),))


def test_the_spread_is_that_of_similarities_to_other_images():
    decoder = Decoder(6, (affine_member(),)).with_spread(RESPONSES, EMBEDDINGS, IMAGES)
    assert decoder.spread == pytest.approx(off_diagonal(decoder).std(), rel=1e-5)
    np.testing.assert_array_equal(similarity(decoder), similarity(Decoder(6, decoder.members)))
    repeated = [np.concatenate([a, a[:10]]) for a in (RESPONSES, EMBEDDINGS, IMAGES)]
    assert decoder.with_spread(*repeated).spread == pytest.approx(decoder.spread, rel=1e-5)


def test_a_decoder_without_an_opinion_gets_no_weight_for_it():
    member = affine_member()
    silent = AffineMap(np.zeros_like(member.map.coefficients), np.zeros(4, np.float32))
    silent = Decoder(6, (replace(member, map=silent),))
    assert silent.with_spread(RESPONSES, EMBEDDINGS, IMAGES).spread == 1.0


def test_no_kind_of_decoder_drowns_another_in_an_ensemble():
    decoders = [
        decoder.with_spread(RESPONSES, EMBEDDINGS, IMAGES)
        for decoder in (bayesian_decoder(), Decoder(6, (affine_member(),)))
    ]
    assert decoders[1].spread > 3 * decoders[0].spread
    both = off_diagonal(combine(decoders))
    shares = [np.corrcoef(both, off_diagonal(decoder))[0, 1] for decoder in decoders]
    assert shares[0] == pytest.approx(shares[1], abs=1e-4)
    standardised = [similarity(d) / d.spread for d in decoders]
    expected = np.mean(standardised, 0) * combine(decoders).spread
    np.testing.assert_allclose(similarity(combine(decoders)), expected, atol=1e-5)


def test_ensembles_of_ensembles_weigh_like_decoders():
    one, two, three = (
        Decoder(6, (affine_member(seed),)).with_spread(RESPONSES, EMBEDDINGS, IMAGES)
        for seed in (1, 2, 3)
    )
    pair = combine([one, two])
    assert pair.spread == pytest.approx(2 / (1 / one.spread + 1 / two.spread))
    assert combine([one, one]).spread == pytest.approx(one.spread)
    nested = combine([pair, three])
    for rows in (nested.embed_responses(RESPONSES), nested.embed_images(EMBEDDINGS)):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    expected = (similarity(pair) / pair.spread + similarity(three) / three.spread) / 2
    np.testing.assert_allclose(similarity(nested), nested.spread * expected, atol=1e-6)


def test_the_parameters_of_a_member_are_those_that_were_fitted():
    assert affine_member().parameters == 3 * 4 + 4
    member, network = network_member()
    assert member.parameters == sum(p.numel() for p in network.parameters())
    (member,) = bayesian_decoder().members
    sides = [side for side in (member.encoding, member.decoding) if side is not None]
    assert member.parameters == sum(side.linear.size for side in sides) > 0


def test_a_decoder_survives_its_file_exactly(tmp_path):
    decoder = combine(
        [Decoder(6, (affine_member(),)), Decoder(6, (network_member()[0],)),
         Decoder(6, (network_member("capoyo", dim=16, latents=2, heads=1)[0],))]
    )  # fmt: skip
    decoder = replace(decoder, spread=0.25)
    path = tmp_path / "deep" / "decoder.safetensors"
    decoder.save(path, {"seed": 3})
    loaded = Decoder.load(path)
    assert (loaded.metadata, loaded.spread) == ({"seed": 3}, 0.25)
    np.testing.assert_array_equal(similarity(loaded), similarity(decoder))
    first = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == first
    assert [entry.name for entry in path.parent.iterdir()] == ["decoder.safetensors"]


def test_affine_decoders_run_without_torch(tmp_path):
    path = tmp_path / "ridge.safetensors"
    Decoder(6, (affine_member(),)).save(path)
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import numpy as np\n"
        "from spikeline.bridge.decoder import Decoder\n"
        "from spikeline.bridge.closed_form import fit_ridge_decoder\n"
        f"decoder = Decoder.load({str(path)!r})\n"
        "decoder.embed_responses(np.ones((2, 6))), decoder.embed_images(np.ones((2, 9)))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_wrong_shapes_and_files_are_one_line_errors(tmp_path):
    decoder = Decoder(6, (affine_member(),))
    with pytest.raises(InputError, match="trained on 6 electrodes"):
        decoder.embed_responses(RESPONSES[:, :5])
    with pytest.raises(InputError, match="vectors of length 9"):
        decoder.embed_images(EMBEDDINGS[:, :5])
    with pytest.raises(InputError, match="one subject and one encoder"):
        combine([decoder, Decoder(7, (affine_member(),))])
    path = tmp_path / "x.safetensors"
    decoder.save(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"x\.safetensors: cannot be read"):
        Decoder.load(path)
    with pytest.raises(InputError, match="cannot be read"):
        Decoder.load(tmp_path / "missing.safetensors")
    import safetensors.numpy

    safetensors.numpy.save_file({"a": EMBEDDINGS}, path)
    with pytest.raises(InputError, match="holds no contract, expected 'decoder/2'"):
        Decoder.load(path)
