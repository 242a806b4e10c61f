"""Transfer: which weights learn in which epoch, and what a decoder takes over from its start."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pretraining_toys import (
    ELECTRODES,
    HELD_OUT,
    ROWS,
    TABLE,
    decoder_settings,
    masking,
    pretraining_settings,
    recording,
)

from spikeline.bridge.decoder import Decoder
from spikeline.bridge.networks import training
from spikeline.bridge.networks.architectures import build_network
from spikeline.bridge.networks.training import fit_network
from spikeline.bridge.pretraining.pretrained import Pretrained
from spikeline.bridge.pretraining.start import EncoderStart, SubjectStart, new_identities
from spikeline.bridge.pretraining.training import pretrain
from spikeline.bridge.pretraining.transfer import learning, stage_of, stages
from spikeline.errors import InputError
from spikeline.training.device import make_fabric
from spikeline.training.state import StateFile

FABRIC = make_fabric("cpu")
ALL = ["identities", "attention", "layer0", "layer1", "head"]


# --- schedules, worked by hand --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transfer", "by_epoch"),
    [
        ("full", {0: ALL, 50: ALL}),
        ("joint", {0: ALL, 50: ALL}),
        ("freeze", {0: ["head"], 500: ["head"]}),
        ("freeze_then_unfreeze", {0: ["head"], 2: ["head"], 3: ALL, 9: ALL}),
        (
            "gradual",
            {0: ["head"], 1: ["head"], 2: ALL[3:], 3: ALL[3:], 4: ALL[2:], 6: ALL[1:], 8: ALL,
             99: ALL},
        ),
        ("identities", {0: ["identities"], 50: ["identities"]}),
    ],
)  # fmt: skip
def test_each_transfer_lets_these_stages_learn(transfer, by_epoch):
    for epoch, stages_that_learn in by_epoch.items():
        found = learning(transfer, epoch, depth=2, freeze_epochs=3, unfreeze_every=2)
        assert found == stages_that_learn, epoch


def test_every_parameter_of_a_network_has_a_stage():
    settings = decoder_settings(depth=2)
    regions = [str(region) for region in TABLE["region"]]
    model = torch.nn.ModuleDict({"network": build_network(settings, ELECTRODES, regions, 5)})
    found = {}
    for name, _ in model.named_parameters():
        found.setdefault(stage_of(name), []).append(name)
    assert set(found) == {*stages(2), "head"}
    assert found["identities"] == [
        "network.encoder.electrodes.identity", "network.encoder.electrodes.region",
    ]  # fmt: skip
    assert all("readout" in name or "projector" in name for name in found["head"])
    assert all(name.startswith("network.encoder.layers.1.") for name in found["layer1"])


# --- starts ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained() -> Pretrained:
    rows = masking(recording()[0])
    return pretrain(rows, TABLE, pretraining_settings(), seed=0, fabric=FABRIC)[0]


@pytest.fixture(scope="module")
def source() -> Decoder:
    """Of another subject, with other electrodes."""
    return fit(decoder_settings(), recording(seed=1))[0]


def fit(settings, toy=None, **options):
    responses, embeddings, images = toy or recording()
    rows = slice(ROWS)
    categories = np.array([name.split("/")[0] for name in images])
    return fit_network(
        responses[rows], embeddings[rows], images[rows], categories[rows], TABLE, settings,
        seed=0, gallery=HELD_OUT, fabric=FABRIC, **options,
    )  # fmt: skip


def state(decoder: Decoder) -> dict[str, np.ndarray]:
    return decoder.members[0].map.state


def same(one, other, prefix) -> bool:
    names = [name for name in one if name.startswith(prefix)]
    assert names
    return all(np.array_equal(one[name], other[name]) for name in names)


def from_encoder(pretrained, **changed):
    return fit(decoder_settings(**changed), start=EncoderStart(pretrained, "p.safetensors"))


def test_a_frozen_encoder_stays_as_it_was_pretrained(pretrained):
    encoder = {f"encoder.{name}": array for name, array in pretrained.encoder.items()}
    frozen, _ = from_encoder(pretrained, transfer="freeze")
    full, _ = from_encoder(pretrained, transfer="full")
    assert same(encoder, state(frozen), "encoder.")
    for part in ("encoder.electrodes.identity", "encoder.electrodes.to_key", "encoder.layers.0"):
        assert not same(encoder, state(full), part)


def test_an_encoder_is_frozen_for_the_first_epochs_alone(pretrained):
    encoder = {f"encoder.{name}": array for name, array in pretrained.encoder.items()}
    settings = {"transfer": "freeze_then_unfreeze", "freeze_epochs": 2, "validation_images": 0}
    before, _ = from_encoder(pretrained, **settings, epochs=2)
    after, _ = from_encoder(pretrained, **settings, epochs=3)
    assert same(encoder, state(before), "encoder.") and not same(encoder, state(after), "encoder.")


def test_layers_learn_from_the_top(pretrained):
    encoder = {f"encoder.{name}": array for name, array in pretrained.encoder.items()}
    settings = {"transfer": "gradual", "unfreeze_every": 1, "validation_images": 0}
    trained, _ = from_encoder(pretrained, **settings, epochs=2)
    assert not same(encoder, state(trained), "encoder.layers.0")
    for part in ("encoder.electrodes", "encoder.feed_forward"):
        assert same(encoder, state(trained), part)


def test_joint_training_adds_the_masked_error_to_the_loss(pretrained):
    _, alone = from_encoder(pretrained, epochs=1, validation_images=0)
    losses = {}
    for weight in (1, 2):
        settings = {"transfer": "joint", "masking_weight": weight, "epochs": 1}
        _, (row,) = from_encoder(pretrained, **settings, validation_images=0)
        losses[weight] = row["loss"]
    added = losses[1] - alone[0]["loss"]
    # About the variance of a column, 1, and twice that, but for what an epoch learns.
    assert 0.5 < added < 1.5
    assert losses[2] - alone[0]["loss"] == pytest.approx(2 * added, rel=0.15)


@pytest.mark.parametrize("transfer", ["freeze_then_unfreeze", "gradual", "joint"])
def test_an_interrupted_transfer_resumes_to_the_same_decoder(
    pretrained, transfer, tmp_path, monkeypatch
):
    settings = {"transfer": transfer, "freeze_epochs": 2, "unfreeze_every": 1}
    unbroken, whole = from_encoder(pretrained, **settings)
    calls, original = [], training._Alignment.score

    def failing(self):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(training._Alignment, "score", failing)
    given = {
        "settings": decoder_settings(**settings),
        "start": EncoderStart(pretrained, "p.safetensors"),
        "state_file": StateFile(tmp_path / "x.state", 0),
    }
    with pytest.raises(KeyboardInterrupt):
        fit(**given)
    resumed, history = fit(**given)
    assert history == whole
    assert same(state(unbroken), state(resumed), "")


def test_a_decoder_remembers_what_its_encoder_was_pretrained_on(pretrained):
    on_repetitions = replace(pretrained, test_repetitions=4)
    decoder, _ = from_encoder(on_repetitions, epochs=1)
    assert decoder.metadata["pretraining"] == {
        "errors": pretrained.errors, "test_repetitions": 4,
    }  # fmt: skip


def from_subject(source, **changed):
    given = {"transfer": "identities", **changed}
    return fit(decoder_settings(**given), start=SubjectStart(source, "d.safetensors"))


def test_fine_tuned_identities_are_all_that_differs_from_the_source(source):
    decoder, _ = from_subject(source)
    trained, kept = state(decoder), state(source)
    assert {name for name in trained if not np.array_equal(trained[name], kept[name])} == {
        "encoder.electrodes.identity", "encoder.electrodes.region",
    }  # fmt: skip
    target, own = source.members[0].target, decoder.members[0].target
    np.testing.assert_array_equal(own.matrix, target.matrix)
    np.testing.assert_array_equal(own.mean, target.mean)


def test_identities_have_a_learning_rate_of_their_own(source):
    _, history = from_subject(source, identities_learning_rate=0.02, warmup_epochs=0, epochs=1)
    assert history[0]["learning_rate"] > 0.005


def test_new_identities_are_drawn_around_the_mean_of_their_area():
    torch.manual_seed(0)
    regions = ["V1"] * 300 + ["IT"] * 200
    known = torch.cat([5 + 2 * torch.randn(300, 3), torch.full((200, 3), -1.0)])
    drawn = new_identities(known, regions, ["IT", "V1"] * 400)
    assert torch.equal(drawn[::2], torch.full((400, 3), -1.0))
    torch.testing.assert_close(drawn[1::2].mean(0), known[:300].mean(0), atol=0.4, rtol=0)
    torch.testing.assert_close(drawn[1::2].std(0), known[:300].std(0), atol=0.3, rtol=0)


# --- starts that do not fit -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"mask": "region_balanced"}, "with mask random, and this model has region_balanced"),
        ({"mask_share": 0.5}, "with mask_share 0.25, and this model has 0.5"),
        ({"dim": 32}, "with dim 16, and this model has 32"),
        ({"regions": ["V1"]}, "with areas IT, V1, V4, and this model has V1"),
        ({"min_reliability": 0.15}, "with electrodes 24, and this model has 22"),
        ({"transfer": "identities"}, "keeps another subject's decoder"),
    ],
)
def test_a_pretrained_encoder_of_another_model_is_refused(pretrained, changed, words):
    with pytest.raises(InputError) as said:
        from_encoder(pretrained, **changed)
    assert words in str(said.value) and str(said.value).startswith("p.safetensors: ")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"edges": [0.0, 10.0, 20.0]}, "with time bins (ms) 0.0, 10.0, 20.0, and this model has"),
        ({"n_columns": 30}, "with electrodes in all 30, and this model has 24"),
        ({"columns": np.arange(24) + 1}, "pretrained on other electrodes of these responses"),
    ],
)
def test_a_pretrained_encoder_of_other_responses_is_refused(pretrained, changed, words):
    with pytest.raises(InputError) as said:
        from_encoder(replace(pretrained, **changed))
    assert words in str(said.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hidden": 32}, "with hidden 16, and this model has 32; start from the same model"),
        ({"regions": ["V1", "V4"]}, "trained on the areas IT, V1, V4, and this subject has V1, V4"),
        ({"transfer": "joint"}, "needs a pretrained encoder"),
    ],
)
def test_another_subjects_decoder_of_another_model_is_refused(source, changed, words):
    with pytest.raises(InputError, match=words):
        from_subject(source, **changed)


def test_a_decoder_that_is_no_capoyo_is_no_start():
    mlp, _ = fit({**decoder_settings(), "kind": "mlp", "residual": False, "layer_norm": False})
    with pytest.raises(InputError, match=r"m\.safetensors: is no decoder of one network of kind"):
        SubjectStart(mlp, "m.safetensors")


def test_a_pretrained_encoder_read_back_is_the_same(pretrained, tmp_path):
    pretrained.save(tmp_path / "p.safetensors")
    read = Pretrained.load(tmp_path / "p.safetensors")
    assert read.settings == pretrained.settings and read.errors == pretrained.errors
    for part in ("encoder", "decoder"):
        assert same(getattr(pretrained, part), getattr(read, part), "")
    with pytest.raises(InputError, match="expected 'pretrained/1'"):
        from_encoder(pretrained, epochs=1)[0].save(tmp_path / "d.safetensors")
        Pretrained.load(tmp_path / "d.safetensors")
