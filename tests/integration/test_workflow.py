"""The whole workflow, from raw files to tables, with the commands that a lab types."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file

from spikeline.artifacts import embeddings, evaluations, provenance, responses, tables
from spikeline.bridge.tables import categories_path
from spikeline.sources import datalad

pytestmark = pytest.mark.slow

TABLES = [f"results/ablation_{name}.tsv" for name in ("regions", "architecture", "repetitions")]
TEST_IMAGES = 20
RECORDING = "resources/recordings/monkeyF/THINGS_normMUA.mat"


def decoder(model: str, subject: str = "monkeyF", seed: int = 0) -> str:
    return f"results/decoders/{model}/{subject}/seed{seed}.safetensors"


def evaluation(model: str, subject: str = "monkeyF") -> str:
    return f"results/evaluations/{model}/{subject}.json"


def complaints(log: str) -> list[str]:
    """The lines of a step's log that are no progress: what it says is wrong."""
    lines = [line for line in re.split(r"[\r\n]", log) if line.strip()]
    return [line for line in lines if not re.match(r"(INFO|WARNING): |.*\d+%\|", line)]


def git(folder, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=datalad.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


# --- what one run has made ------------------------------------------------------------------------


def test_each_table_has_a_row_for_each_condition(finished):
    found = {path: tables.read(finished / path) for path in TABLES}
    regions, architecture, repetitions = (found[path] for path in TABLES)
    assert list(regions["regions"]) == ["V1+V4+IT", "IT", "V4", "V1", "V1+V4+IT"]
    # The entry's own value is left out of a model's name.
    assert list(regions["model"]) == [
        "bayesian",
        *(f"bayesian@regions={r}" for r in ("IT", "V4", "V1")),
        "bayesian@shuffle_responses=true",
    ]
    every, *each = regions["electrodes"][:-1]
    assert every == sum(each)
    assert list(architecture["model"]) == [
        "ridge", "bayesian", "mlp", "capoyo", "both", "auto", "ridge@shuffle_responses=true",
    ]  # fmt: skip
    *members, of_auto, of_control = architecture["members"]
    assert (members, of_control) == ([1, 1, 1, 1, 2], 1) and 1 <= of_auto <= 3
    assert list(repetitions["test_repetitions"]) == ["1", "4", "1"]
    for table in found.values():
        first, *rest, last = table["row"]
        assert (first, last, set(rest)) == ("reference", "control", {"model"})
        assert set(table["subject"]) == {"monkeyF"}
        assert set(table["gallery"]) == set(table["images"]) == {TEST_IMAGES}


def test_every_score_lies_in_its_interval_beside_its_control_and_its_chance(finished):
    for path in TABLES:
        table = tables.read(finished / path)
        scores = [name.removesuffix("_low") for name in table if name.endswith("_low")]
        assert {f"{way}_top{k}" for way in evaluations.DIRECTIONS for k in (1, 5, 10)} < set(scores)
        assert {"median_rank", "positive_similarity", "difference_top1"} < set(scores)
        for name in scores:
            estimate, low, high = (table[f"{name}{end}"].dropna() for end in ("", "_low", "_high"))
            assert ((low <= estimate) & (estimate <= high)).all(), (path, name)
            assert len(estimate) == len(table) - name.startswith("difference"), (path, name)
        assert np.allclose(table["chance_top1"], 1 / TEST_IMAGES)
        assert table["infinite_repetitions_top1"].between(0, 1).all()
        # Twenty images or more decodings of them: a hit or two, and five with a chance of .003.
        assert table["neural_to_image_top1"].iloc[-1] < 0.25, path


def test_layers_of_the_encoder_are_targets_of_their_own(another):
    path = "results/ablation_targets.tsv"
    another.make(path)
    table = tables.read(another / path)
    assert list(table["target"]) == ["embedding", "layer3", "layer1+layer3", "embedding"]
    assert list(table["gallery"]) == [TEST_IMAGES, TEST_IMAGES, 9 * TEST_IMAGES, TEST_IMAGES]
    told = (another / path).with_suffix(".txt").read_text()
    assert "Rows with another target than `embedding` identify images by layers" in told
    reduced = embeddings.read(another / "results/targets/demo_clip/monkeyF.h5")
    assert list(reduced.layers) == ["embedding", "layer1", "layer3"]


def test_the_table_agrees_with_the_ranks_it_was_made_from(finished):
    table = tables.read(finished / TABLES[1]).set_index("model")
    for model in table.index:
        (seed,) = evaluations.read(finished / evaluation(model)).seeds
        ranks = seed.draws[0].neural_to_image
        untied = ranks.tied == 0
        assert untied.all()
        for k in (1, 5):
            assert table.loc[model, f"neural_to_image_top{k}"] == pytest.approx(
                (ranks.rank < k).mean(), abs=1e-4
            )


def test_decoders_beat_their_control_trained_on_broken_pairs_on_the_twin(finished):
    for path in TABLES:
        table = tables.read(finished / path)
        reference, control = table.iloc[0], table.iloc[-1]
        assert reference["neural_to_image_top5_low"] > control["neural_to_image_top5"], path
    # Three pairings of twenty images are enough for the paired difference too.
    assert tables.read(finished / TABLES[0])["difference_top5_high"].iloc[-1] < 0


def test_each_table_says_what_it_shows_in_a_sentence_of_its_own_numbers(finished):
    for path in TABLES:
        table = tables.read(finished / path)
        (text,) = (finished / path).with_suffix(".txt").read_text().splitlines()
        share = 100 * table["neural_to_image_top1"].iloc[0]
        assert f" {share:g} % of responses identify their image among {TEST_IMAGES} " in text
        assert "The control, the same model trained on broken pairs, " in text


def test_fewer_repetitions_are_evaluated_with_the_decoder_that_is_there(finished):
    draws = evaluations.read(finished / evaluation("ridge@test_repetitions=1")).seeds[0].draws
    assert len(draws) > 1 and all(len(draw.repetitions) == 1 for draw in draws)
    # What other tests make in this folder is of other settings.
    made = {path.name for path in (finished / "results/decoders").iterdir()}
    assert {name for name in made if "training_fraction" not in name} == {
        "ridge", "bayesian", "mlp", "capoyo", "both", "auto",
        *(f"bayesian@regions={region}" for region in ("IT", "V4", "V1")),
        *(f"{model}@shuffle_responses=true" for model in ("ridge", "bayesian")),
    }  # fmt: skip
    record = provenance.read(finished / evaluation("ridge@test_repetitions=1"))
    assert decoder("ridge") in record["inputs"]


def test_each_table_has_a_figure_and_its_scores_by_category(finished):
    for path in TABLES:
        with Image.open((finished / path).with_suffix(".png")) as figure:
            figure.load()
            assert figure.format == "PNG" and min(figure.size) >= 300 and max(figure.size) < 8000
        categories = tables.read(categories_path(finished / path))
        # Each image shows one shape at one place.
        rows = len(tables.read(finished / path))
        for kind in ("shape: ", "place: "):
            own = categories[categories["category"].str.startswith(kind)]
            assert own["images"].sum() == rows * TEST_IMAGES


def test_responses_and_embeddings_keep_their_contracts_and_name_the_same_images(finished):
    recorded = responses.read(finished / "results/responses/monkeyF.h5")
    embedded = embeddings.read(finished / "results/embeddings/demo_clip/pictures.h5")
    assert recorded.repetitions.shape[:2] == (4, TEST_IMAGES)
    assert recorded.test.sum() == TEST_IMAGES and len(recorded.values) == 160 + TEST_IMAGES
    assert set(recorded.images) == set(embedded.images)
    # Of 72 electrodes the twin has three that are constant and two without any value.
    assert recorded.values.shape[1] == 67
    assert "dropped 5 of 72 electrodes" in (finished / "logs/convert_tvsd/monkeyF.log").read_text()


# --- where it came from ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [TABLES[0], decoder("mlp"), evaluation("both"), "results/responses/monkeyF.h5"]
)
def test_show_prints_the_commit_of_the_origin(finished, path):
    commit = git(finished / "resources/twins/ventral", "rev-parse", "HEAD")
    done = finished.spikeline("show", path)
    assert done.returncode == 0 and done.stderr == ""
    assert f'"commit": "{commit}"' in done.stdout
    record = json.loads(finished.spikeline("show", "--provenance", path).stdout)
    (origin,) = record["origins"].values()
    assert origin["commit"] == commit and "twins/ventral" in origin["url"]


def test_every_file_carries_its_provenance(finished):
    commit = git(finished / "resources/twins/ventral", "rev-parse", "HEAD")
    without = []
    for folder in ("results", "resources/recordings", "resources/stimuli", "resources/captions"):
        for path in sorted((finished / folder).rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(finished.folder).parts)
            if path.is_dir() or hidden or path.name.endswith("provenance.json"):
                continue
            try:
                record = provenance.read(path)
            except Exception as error:
                without.append(f"{path.relative_to(finished.folder)}: {error}")
                continue
            assert {"step", "settings", "code", "inputs", "versions"} <= set(record), path
            assert commit in {origin.get("commit") for origin in record["origins"].values()}, path
    assert without == []


def test_no_state_or_temporary_file_is_left(finished):
    left = [
        path
        for folder in ("results", "resources/recordings", "resources/stimuli")
        for path in (finished / folder).rglob(".*")
        # Snakemake marks a folder that a job has made.
        if path.name != ".snakemake_timestamp" and not (path.is_dir() and not any(path.iterdir()))
    ]
    assert left == []


# --- what runs again ------------------------------------------------------------------------------


def test_then_there_is_nothing_to_do(finished):
    plan = finished.plan(*TABLES)
    assert plan.nothing, plan.text[-3000:]


def test_touching_every_source_file_and_every_input_reruns_nothing(another):
    later = time.time() + 100
    for folder in ("src", "rules", "workflow", "config", "envs", "profiles"):
        for path in (another / folder).rglob("*"):
            os.utime(path, (later, later))
    for path in ("Snakefile", "results/responses/monkeyF.h5", RECORDING):
        os.utime(another / path, (later, later))
    plan = another.plan(*TABLES)
    assert plan.nothing, plan.text[-3000:]


def test_editing_one_models_entry_reruns_that_models_jobs_and_tables_only(another):
    config = another.config
    config["models"]["capoyo"]["noise_std"] = 0.2
    another.configure(config)
    plan = another.plan(*TABLES)
    assert set(plan.jobs) == {decoder("capoyo"), evaluation("capoyo"), TABLES[1]}, plan.text[-3000:]


def test_the_ablation_of_the_readme_runs_to_a_table(repository, another):
    chapter = (repository / "README.md").read_text(encoding="utf-8").partition("## Add an ablation")
    added = yaml.safe_load(re.search(r"\n\n((?: {4}.+\n)+)", chapter[2])[1])
    ((name, ablation),) = added.items()
    assert len(ablation) == 3 and not {"title", "seeds"} & set(ablation)
    table, figure = f"results/ablation_{name}.tsv", f"results/ablation_{name}.png"
    ((setting, values),) = ablation["vary"].items()
    config = another.config
    config["ablations"].update(added)
    another.configure(config)
    trained = [path for path, rule in another.plan(table).jobs.items() if rule == "train"]
    # Three seeds of each value and of the control; one was trained already, and is not again.
    assert len(trained) == 3 * (len(values) + 1) - 1 and decoder("mlp") not in trained

    # One seed, to be quick.
    config["ablations"][name]["seeds"] = 1
    another.configure(config)
    another.make(table)
    made = tables.read(another / table)
    assert list(made[setting]) == [str(value) for value in [*values, values[0]]]
    assert set(made["seeds"]) == {1}
    with Image.open(another / figure) as image:
        image.load()
    assert another.plan(table, *TABLES).nothing


# --- steps by hand --------------------------------------------------------------------------------


def test_training_by_hand_gives_the_workflows_decoder_bit_for_bit(finished, tmp_path):
    made = finished / decoder("mlp")
    record = provenance.read(made)
    done = finished.spikeline(
        "train", "--responses", "results/responses/monkeyF.h5",
        "--embeddings", "results/embeddings/demo_clip/pictures.h5",
        "--settings", json.dumps(record["settings"]), "--seed", 0,
        "--states", tmp_path / "states", "--output", tmp_path / "a.safetensors",
        "--history", tmp_path / "a.tsv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ours, theirs = load_file(tmp_path / "a.safetensors"), load_file(made)
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    assert (tmp_path / "a.tsv").read_text() == made.with_suffix(".tsv").read_text()
    assert list((tmp_path / "states").iterdir()) == []


def test_embeddings_of_another_encoder_are_refused_in_one_line(finished, tmp_path):
    own = embeddings.read(finished / "results/embeddings/demo_clip/pictures.h5")
    other = embeddings.Embeddings(own.values[:, ::-1].copy(), own.images, "other:123")
    embeddings.write(tmp_path / "other.h5", other, {"origins": {}})
    done = finished.spikeline(
        "evaluate", "--responses", "results/responses/monkeyF.h5",
        "--embeddings", tmp_path / "other.h5", "--decoders", decoder("ridge"),
        "--settings", "{}", "--output", tmp_path / "a.json",
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = complaints(done.stderr)
    assert line.startswith("spikeline evaluate: ") and "other:123" in line and own.encoder in line
    assert {path.name for path in tmp_path.iterdir()} == {"other.h5"}


# --- the dataset ----------------------------------------------------------------------------------


def test_a_deleted_clone_is_made_again_and_a_dropped_file_stops_the_fetch(another):
    recording = (another / RECORDING).read_bytes()

    def forget():
        datalad.remove(another / "resources/datasets")
        shutil.rmtree(another / "resources/recordings")

    forget()
    another.make(RECORDING)
    assert (another / RECORDING).read_bytes() == recording

    forget()
    # Three attempts, without their pauses.
    another.edit("sources/datalad.py", "pause: float = 5.0", "pause: float = 0.01")
    origin = another / "resources/twins/ventral"
    git(origin, "annex", "drop", "--force", "monkeyF/THINGS_normMUA.mat")
    done = another.snakemake("--", RECORDING)
    assert done.status != 0
    (line,) = complaints((another / "logs/fetch_tvsd/monkeyF.log").read_text())
    assert line.startswith("spikeline fetch-dataset: ")
    assert "monkeyF/THINGS_normMUA.mat is not available there" in line
    # Snakemake's own output holds it too, so that nobody has to look for the log.
    assert line in done.text
    folder = (another / RECORDING).parent
    assert not folder.exists() or list(folder.iterdir()) == []


# --- a lab's own arrays ---------------------------------------------------------------------------

OWN = """
subjects:
  mine:
    kind: arrays
    responses: data/responses.npy
    stimuli: own
    regions: {V4: [[0, 10]], IT: [[10, 16]]}
    splits: 2
    test_images: 25
  wrong_names:
    kind: arrays
    responses: data/responses.csv
    images: data/wrong_names.txt
    stimuli: own
    regions: {V4: [[0, 10]], IT: [[10, 16]]}
    splits: 2
    test_images: 25
stimuli:
  own: {kind: archive, images: data/images}
encoders:
  given: {kind: precomputed, files: {own: data/embeddings.npy}, scale: 0.5}
models:
  ridge:
    {kind: ridge, encoder: given, regions: [V4, IT], target_normalise: false, penalties: [0.001, 1]}
ablations:
  own: {models: [ridge], subjects: [mine, wrong_names], seeds: 2}
"""


def test_own_arrays_give_the_answer_that_was_put_into_them(untouched):
    rng = np.random.default_rng(3)
    count, electrodes = 125, 16
    names = [f"{'ab'[k % 2]}/{k:03d}.png" for k in range(count)]
    data = untouched / "data"
    for name in names:
        (data / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(data / "images" / name)
    recorded = rng.normal(size=(count, electrodes))
    # Rows follow the sorted names, and an embedding is linear in its image's responses.
    np.save(data / "responses.npy", recorded)
    np.save(data / "embeddings.npy", recorded @ rng.normal(size=(electrodes, 24)) + 3.0)
    np.savetxt(data / "responses.csv", recorded, delimiter=",")
    (data / "wrong_names.txt").write_text("\n".join(rng.permutation(sorted(names))) + "\n")
    untouched.configure(yaml.safe_load(OWN))
    untouched.make("results/ablation_own.tsv")

    table = tables.read(untouched / "results/ablation_own.tsv")
    assert set(table["gallery"]) == {25} and set(table["seeds"]) == {2}
    top1 = table[table["row"] == "reference"].set_index("subject")["neural_to_image_top1"]
    assert top1["mine"] == 1.0
    # Chance is .04: two hits of fifty, and more than seven with a probability of .001.
    assert top1["wrong_names"] <= 0.14
    assert table["infinite_repetitions_top1"].isna().all()
    assert tables.read(categories_path(untouched / "results/ablation_own.tsv")).empty
    record = provenance.read(untouched / evaluation("ridge", "mine"))
    assert {"data/responses.npy", "data/embeddings.npy"} <= set(record["origins"])


# --- a real recording -----------------------------------------------------------------------------


def test_whitened_ridge_on_the_macaque_v4_set_reaches_its_known_score(real_data, untouched):
    if not (real_data / "macaque_v4_201025").is_dir():
        pytest.skip(f"no macaque_v4_201025 in {real_data}")
    # The plain baseline: 100 principal components of the embeddings as they are, whitened.
    model = "ridge@target_normalise=false@target_transform=none@target_whitening=1"
    # All five splits, though no ablation asks for this model.
    (untouched / "all_splits.yaml").write_text("evaluation: {seeds: 5}\n")
    done = untouched.snakemake(
        "--configfile", "config/macaque_v4.yaml", "all_splits.yaml",
        "--", evaluation(model, "macaque_v4_201025"),
        SPIKELINE_DATA=str(real_data),
    )  # fmt: skip
    assert done.status == 0, done.text[-4000:]
    result = evaluations.read(untouched / evaluation(model, "macaque_v4_201025"))
    assert [seed.seed for seed in result.seeds] == [0, 1, 2, 3, 4]
    assert {len(seed.images) for seed in result.seeds} == {100}
    hits = [seed.draws[0].neural_to_image.hits(1).mean() for seed in result.seeds]
    assert np.mean(hits) == pytest.approx(0.37, abs=0.04)
