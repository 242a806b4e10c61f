"""The rules of the house: documented, linted, formatted, light to plan, ready for a cluster."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def rule_texts(repository) -> dict[str, str]:
    """The text of each rule of rules/*.smk, by name."""
    found = {}
    for path in sorted((repository / "rules").glob("*.smk")):
        for block in re.split(r"^(?=(?:rule|checkpoint) \w+:$)", path.read_text(), flags=re.M)[1:]:
            found[re.match(r"\w+ (\w+):", block)[1]] = block
    return found


def test_every_rule_opens_with_a_sentence_and_has_a_log(rule_texts):
    assert len(rule_texts) > 10
    for name, text in rule_texts.items():
        docstring = text.splitlines()[1].strip()
        assert re.fullmatch(r'"""[A-Z].*\."""', docstring), name
        assert re.search(r"^    log:$", text, re.M), name
        assert '2> {log:q}"' in text, name


def test_every_rule_that_computes_carries_the_digest_of_its_own_subcommand(rule_texts):
    for name, text in rule_texts.items():
        # An environment is made by uv from its pins alone.
        if name == "build_environment":
            continue
        (called,) = re.findall(r'"(?:spikeline|client {input.environment:q}) ([a-z0-9-]+) ', text)
        # A fetch is proved by commit or checksum: an edit of ours must not download again.
        computes = not name.startswith("fetch_")
        assert (f'code=code("{called}")' in text) is computes, name


def test_every_file_of_rules_says_what_it_consumes_and_produces(repository):
    for path in (repository / "rules").glob("*.smk"):
        text = path.read_text()
        assert text.startswith("# ") and "# CONSUMES" in text and "# PRODUCES" in text, path
        assert not re.search(r"^\s*(def|run:|script:)\b", text, re.M), path


def test_rules_name_only_the_resources_that_every_site_has(rule_texts):
    # How often training saves its state is for the run to choose, and reruns nothing.
    # A client's own files have one writer at a time.
    known = {"gpu", "mem", "runtime", "state_interval_s", "client_files"}
    for name, text in rule_texts.items():
        block = re.search(r"^    resources:\n((?: {8}.*\n)+)", text, re.M)
        assert block, name
        assert set(re.findall(r"^        (\w+)=", block[1], re.M)) <= known, name


def test_rules_that_fetch_are_local_because_compute_nodes_often_have_no_network(
    repository, rule_texts
):
    local = set()
    for path in (repository / "rules").glob("*.smk"):
        listed = re.search(r"^localrules:\n((?:    \w+,\n)+)", path.read_text(), re.M)
        local |= {name.strip() for name in listed[1].split(",")} - {""} if listed else set()
    assert local == {name for name in rule_texts if name.startswith(("fetch_", "build_"))}


def test_the_package_knows_nothing_of_snakemake(repository):
    for path in (repository / "src").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M), path


def test_lint_wishes_for_nothing_but_a_conda_environment(planned):
    text = planned.snakemake("--lint").text
    wishes = {line.strip() for line in text.splitlines() if line.startswith("    * ")}
    assert wishes <= {"* Specify a conda environment or container for each rule.:"}, text
    assert "Lints for snakefile" not in text, text
    assert "rror" not in text, text


def test_the_rules_are_formatted(repository):
    done = subprocess.run(
        [Path(sys.executable).with_name("snakefmt"), "--check", "Snakefile", "rules", "workflow"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_cluster_run_is_planned_with_gpu_memory_and_runtime(fresh):
    target = "results/decoders/mlp/monkeyF/seed0.safetensors"
    plan = fresh.snakemake("-n", "--workflow-profile", "profiles/slurm", "--", target)
    assert plan.status == 0, plan.text[-3000:]
    blocks = plan.text.split("\n[")
    (train,) = [block for block in blocks if "\nrule train:" in block]
    (convert,) = [block for block in blocks if "\nrule convert_tvsd:" in block]
    assert "gpu=1" in train and "runtime=120" in train and "mem=4 GB" in train
    assert "gpu=1" not in convert


def test_planning_loads_no_heavy_library(planned):
    code = (
        "import sys, snakemake.cli\n"
        "try:\n"
        "    snakemake.cli.main(['-n', '-q', 'all', '--', 'results/ablation_regions.tsv'])\n"
        "finally:\n"
        "    heavy = {'torch', 'h5py', 'open_clip', 'datalad', 'matplotlib', 'scipy'}\n"
        "    print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=planned.folder, capture_output=True, text=True
    )
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr


def test_a_config_of_three_thousand_jobs_is_planned(fresh):
    config = fresh.config
    config["ablations"] = {
        "large": {
            "base": "mlp",
            "vary": {"min_snr": [k / 100 for k in range(750)]},
            "subjects": ["monkeyF"],
            "seeds": 3,
        }
    }
    fresh.configure(config)
    plan = fresh.snakemake("-n", "-q", "rules", "--", "results/ablation_large.tsv")
    assert plan.status == 0, plan.text[-3000:]
    assert re.search(r"^train +2253$", plan.text, re.M) and re.search(
        r"^evaluate +751$", plan.text, re.M
    )


@pytest.mark.parametrize("page", ["profiles/README.md", "profiles/slurm/profile.yaml"])
def test_the_cluster_pages_name_every_rule_that_asks_for_a_gpu(rule_texts, repository, page):
    text = (repository / page).read_text()
    asking = [name for name, rule in rule_texts.items() if re.search(r"^\s+gpu=", rule, re.M)]
    assert len(asking) >= 6
    assert [rule for rule in asking if not re.search(rf"\b{rule}\b", text)] == []
