"""What a change makes Snakemake run again: beside test_rerun_table.py, the finer points."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("sources/tvsd.py", {"convert_tvsd"}),
        ("sources/datalad.py", set()),  # a fetch is proved by its commit
        ("cli/combine.py", {"combine"}),
    ],
)
def test_a_code_edit_reruns_the_rules_that_use_it_and_what_follows(finished, module, rules):
    path = finished.folder / "src/spikeline" / module
    path.write_text(path.read_text(encoding="utf-8") + "\nEDITED = 1\n", encoding="utf-8")
    plan = finished.plan()
    assert plan.status == 0, plan.text[-3000:]
    # The jobs whose own reason is their code; the others follow from them.
    assert reasons(plan.text, "Params have changed") == rules


def reasons(text: str, words: str) -> set[str]:
    """Rules of the jobs whose reason holds `words`."""
    found, rule = set(), ""
    for line in text.splitlines():
        if line.rstrip().endswith(":") and "rule " in line and not line.startswith(" "):
            rule = line.rstrip(":").split()[-1]
        elif line.strip().startswith("reason:") and words in line:
            found.add(rule)
    return found


def test_a_shared_module_reruns_every_rule_that_imports_it_and_no_other(finished, environment):
    # The oracle imports each subcommand and asks Python whether it loaded the module.
    path = finished.folder / "src/spikeline/sources/arrays.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nEDITED = 1\n", encoding="utf-8")
    rules = set()
    for rule in ("convert_arrays", "convert_macaque_v4", "import_embeddings", "convert_tvsd",
                 "pack_stimuli", "fetch_file", "convert_ibl", "convert_spikes",
                 "convert_allen", "bin_spikes"):  # fmt: skip
        code = f"import sys, spikeline.cli.{rule}; print('spikeline.sources.arrays' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        if done.stdout.strip() == "True":
            rules.add(rule)
    assert rules >= {"convert_arrays", "convert_macaque_v4", "import_embeddings"}
    assert not rules & {"convert_tvsd", "pack_stimuli", "fetch_file", "bin_spikes"}
    assert reasons(finished.plan().text, "Params have changed") == rules


def test_what_a_candidate_shares_with_auto_does_not_rerun_auto(finished):
    config = finished.config
    config["models"]["mlp"]["min_snr"] = 2
    finished.configure(config)
    jobs = finished.plan("results/ablation_architecture.tsv").jobs
    assert "results/decoders/mlp/monkeyF/seed0.safetensors" in jobs
    assert not [path for path in jobs if "/auto/" in path]


def test_files_of_a_recording_that_change_places_are_converted_anew(finished):
    # The same set of input files.
    config = finished.config
    lab = config["subjects"]["lab"]
    lab["responses"], lab["test_responses"] = lab["test_responses"], lab["responses"]
    finished.configure(config)
    assert "results/responses/lab.h5" in finished.plan("results/ablation_real.tsv").jobs


def test_the_order_of_keys_in_the_config_reruns_nothing(finished):
    def reordered(node):
        if isinstance(node, dict):
            return {key: reordered(node[key]) for key in reversed(node)}
        return node

    finished.configure(reordered(finished.config))
    plan = finished.plan()
    assert plan.nothing, plan.text[-3000:]


def test_repetitions_of_the_evaluation_are_varied_without_training_again(finished):
    plan = finished.plan("results/evaluations/mlp@test_repetitions=2/monkeyF.json")
    assert list(plan.jobs) == ["results/evaluations/mlp@test_repetitions=2/monkeyF.json"]
    assert "results/decoders/mlp/monkeyF/seed0.safetensors" in plan.text


def test_a_source_that_is_missing_is_no_reason_to_keep_old_results(finished):
    config = finished.config
    config["sessions"]["rat"]["clusters"] = "own/mistyped.npy"
    finished.configure(config)
    said = finished.refusal()
    assert "config sessions.rat.clusters: own/mistyped.npy: no such file" in said
