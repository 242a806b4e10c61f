"""Captions encoded by a command."""

import argparse

import open_clip
import pytest
import torch
from artifact_examples import some_responses

from spikeline.artifacts import responses
from spikeline.artifacts.images import prompts
from spikeline.cli import encode_prompts as command
from spikeline.errors import InputError
from spikeline.simulate.clip import ClipSettings, open_clip_config, save_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    settings = ClipSettings(0, 32, 16, "residual", 8, 16, 1, 10, 1, 8, 1e-3, 0.0, 0, 0.0)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    save_clip(open_clip.CLIP(**open_clip_config(settings)["model_cfg"]), settings, folder)
    return folder


def run(tmp_path, *arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    output = tmp_path / "prompts.h5"
    command.run(
        parser.parse_args([*map(str, arguments), "--device", "cpu", "--output", f"{output}"])
    )
    return prompts.read(output)


def test_captions_of_a_table_become_states(tmp_path, clip):
    table = tmp_path / "captions.tsv"
    table.write_text("things_path\tcaption\nb.jpg\ta ring\na.jpg\ta star\nc.jpg\ta ring\n")
    found = run(tmp_path, "--captions", table, "--clip", clip)
    assert list(found.images) == ["b.jpg", "a.jpg", "c.jpg"]
    assert list(found.prompts[found.prompt]) == ["a ring", "a star", "a ring"]
    assert found.states.shape == (2, 10, 16)
    assert found.empty.shape == (10, 16)


def test_classes_of_responses_stand_in_for_captions(tmp_path, clip):
    recorded = some_responses()
    responses.write(tmp_path / "r.h5", recorded, {})
    found = run(tmp_path, "--responses", tmp_path / "r.h5", "--clip", clip)
    assert set(found.images) == set(recorded.images)
    names = {name.replace("_", " ") for name in recorded.categories}
    assert set(found.prompts) == names


def test_a_folder_without_a_prompt_tokenizer_is_one_line_and_no_file(tmp_path):
    table = tmp_path / "captions.tsv"
    table.write_text("things_path\tcaption\nb.jpg\ta ring\n")
    (tmp_path / "pipeline").mkdir()
    with pytest.raises(InputError, match="prompt tokenizer is missing"):
        run(tmp_path, "--captions", table, "--generator", tmp_path / "pipeline")
    assert not (tmp_path / "prompts.h5").exists()
