# From Snakemake to the plan: the config, how a rule asks, code digests, retries.
#
# What a job needs is decided in src/spikeline/plan, which knows nothing of Snakemake.
import atexit
import gc
import inspect
import os
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.common import overwrite_function_params
from snakemake.exceptions import WorkflowError
from snakemake.io import strip_wildcard_constraints

ROOT = Path(workflow.current_basedir).parent
# As seen from the working folder: an absolute path would look changed where a clone is moved.
ENVS = os.path.relpath(ROOT / "envs")
sys.path.insert(0, str(ROOT / "src"))

from spikeline.errors import InputError
from spikeline.plan.config import as_settings
from spikeline.plan.locations import flag, flags
from spikeline.plan.plan import Plan
from spikeline.plan.reconstruction import reconstructions
from spikeline.settings.code_digest import code_digest
from spikeline.settings.entries import ENTRY_NAME

# Planning makes objects that live as long as the run. Looking through them for garbage takes a
# third of a dry-run of 3,000 jobs: at the usual pace, and once more, in vain, as Python exits.
gc.freeze()
gc.set_threshold(1_000_000, 50, 100)
atexit.register(gc.freeze)


def braced(path):
    """A path as a word of the shell, in a command that Snakemake fills in at braces."""
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


# Each job runs `spikeline ...` with the Python that runs Snakemake and the code of this checkout.
shell.executable("bash")
shell.prefix(
    "set -euo pipefail; "
    f"export PYTHONPATH={braced(ROOT / 'src')}; "
    f'spikeline() {{{{ {braced(sys.executable)} -m spikeline "$@"; }}}}; '
    # In a client's own environment: `client FOLDER SUBCOMMAND ...`.
    'client() {{ local folder=$1; shift; "$folder/bin/python" -m spikeline "$@"; }}; '
    f"uv() {{{{ {braced(Path(sys.executable).parent / 'uv')} \"$@\"; }}}}; "
)

# Priorities. What learns from images for minutes (encoders, autoencoders, generators) begins first, and
# the images, embeddings and latents that it waits for before it: else the last of them leaves all cores
# but one idle.
LONG, BEFORE_LONG = 1, 2

try:
    # `config` holds what the user gave: config files, --config, or another workflow's `module`.
    PLAN = Plan.of(ROOT, config)
except InputError as error:
    raise WorkflowError(str(error)) from None


# A client's own files, its token and its cache's tables, have one writer at a time. Here and not in
# a profile: --resources on the command line would replace the profile's.
if "client_files" not in workflow.global_resources:
    workflow.global_resources["client_files"] = 1


wildcard_constraints:
    subject=ENTRY_NAME,
    stimuli=ENTRY_NAME,
    encoder=ENTRY_NAME,
    extractor=ENTRY_NAME,
    twin=ENTRY_NAME,
    dataset=ENTRY_NAME,
    ablation=ENTRY_NAME,
    windows=ENTRY_NAME,
    session=ENTRY_NAME,
    cohort=ENTRY_NAME,
    environment="ibl|allen",
    model="[^/]+",
    seed=r"\d+",


def function(answer, *takes):
    """An input, params or resources function of these arguments.

    Snakemake asks for them many thousands of times in a large dry-run; here they are ready made.
    """
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, positional) for name in ("wildcards", *takes)]
    answer.__signature__ = inspect.Signature(parameters)
    overwrite_function_params(answer, answer.__signature__.parameters)
    return answer


def asks(question):
    """An input or params function: the plan's answer about a job's wildcards, by their names.

    A user's mistake ends the run with its one line; Snakemake would print a traceback with it.
    """
    names = list(inspect.signature(question).parameters)

    def answer(wildcards):
        try:
            return question(*(getattr(wildcards, name) for name in names))
        except InputError as error:
            sys.exit(f"error: {error}")

    return function(answer)


def code(subcommand):
    """The digest of the code that a subcommand runs; a change of it is a reason to rerun."""
    imported = f"spikeline.cli.{subcommand.replace('-', '_')}"
    return function(lambda wildcards: code_digest(imported))


@cache
def measured():
    """The rules that have a benchmark, for `spikeline write-page`: their paths as patterns."""
    found = []
    # Not called a rule: lint would take this file for one with rules beside functions.
    for one in workflow.rules:
        if one.benchmark:
            paths = [*one.output, one.benchmark, one.log[0]]
            *outputs, benchmark, log = (strip_wildcard_constraints(path) for path in paths)
            step = re.search(r"(?:spikeline|client \S+) ([a-z0-9-]+) ", one.shellcmd)[1]
            found.append({"step": step, "outputs": outputs, "benchmark": benchmark, "log": log})
    return as_settings(found)


def scaled(gigabytes):
    """Memory for a job, doubled at each retry; a number, or a question about the job."""
    first = gigabytes if callable(gigabytes) else lambda wildcards: gigabytes
    return function(
        lambda wildcards, attempt: f"{first(wildcards) * 2 ** (attempt - 1)}GB", "attempt"
    )


def minutes(count):
    """Wall time for a job, doubled at each retry; a number, or a question about the job."""
    first = count if callable(count) else lambda wildcards: count
    return function(lambda wildcards, attempt: first(wildcards) * 2 ** (attempt - 1), "attempt")
