# Where jobs with a GPU go: what the profile says of them, for every rule that asks for a gpu.
#
# Among the default-resources of a profile, all optional:
#   gpu_partition      Slurm's partition for jobs with a GPU; others stay in slurm_partition
#   gpu_request        gpus (--gpus=1) or gres (--gres=gpu:1), whichever the cluster takes
#   gpu_model          the model to ask for, of jobs with a GPU only
#   gpu_threads        threads of a job with a GPU
#   gpu_devices        the machine's GPUs, e.g. '0,1': each job takes one for itself
#   report_waiting_s   how often to look why jobs wait in Slurm's queue
# No rule names any of them, and a change of them reruns nothing.
from snakemake.logging import logger

from spikeline.machines import gpu_locks, waiting_jobs

# Taken from the rules once they are read, so that no job shows them or carries them to its node.
SITE = (
    "gpu_partition",
    "gpu_request",
    "gpu_model",
    "gpu_threads",
    "gpu_devices",
    "report_waiting_s",
)


def site_of(step):
    """What the profile says, by name: text, a number or None."""
    found = {}
    for name in SITE:
        raw = step.resources.get(name).raw
        found[name] = raw.strip("'\"") if isinstance(raw, str) else raw
        step.resources[name] = None
    if found["gpu_request"] not in (None, "gpus", "gres"):
        raise WorkflowError(
            f"profile: default-resources: gpu_request: {found['gpu_request']!r}; write gpus or gres"
        )
    return found


def place(step, site):
    """Translate a rule's gpu to what the profile wants; what is set for the rule itself stays."""
    asked, alone = step.resources.get("gpu"), step.resources.get("slurm_partition")
    if asked == 0 or asked == None:
        return
    settings = workflow.resource_settings
    chosen = settings.overwrite_resources.get(step.name, {})

    def gpus(wildcards):
        return asked.evaluate(wildcards).value or 0

    def answer(name, with_gpu, without=lambda wildcards: None):
        if name not in chosen:
            step.resources[name] = function(
                lambda wildcards: (
                    with_gpu(gpus(wildcards)) if gpus(wildcards) else without(wildcards)
                )
            )

    if site["gpu_partition"]:
        other = alone.raw.strip("'\"") if isinstance(alone.raw, str) else alone.raw
        answer("slurm_partition", lambda count: site["gpu_partition"], lambda wildcards: other)
    if site["gpu_threads"] and step.name not in settings.overwrite_threads:
        cores = step.resources["_cores"]
        answer(
            "_cores",
            lambda count: site["gpu_threads"],
            lambda wildcards: cores.evaluate(wildcards).value,
        )
    if site["gpu_request"] == "gres":
        model = f"{site['gpu_model']}:" if site["gpu_model"] else ""
        answer("gres", lambda count: f"gpu:{model}{count}")
        # Slurm's plugin must not see both; the quota of `gpu` holds under another name.
        answer("gpu_jobs", lambda count: count)
        workflow.global_resources["gpu_jobs"] = workflow.global_resources.get("gpu").value
        step.resources["gpu"] = 0
    elif site["gpu_model"]:
        answer("gpu_model", lambda count: site["gpu_model"])


SITES = [(step, site_of(step)) for step in workflow.rules]
for _rule, _site in SITES:
    place(_rule, _site)


def watch_waiting_jobs():
    """On Slurm, say in a line why jobs wait, as long as this run lasts."""
    every_s = SITES[0][1]["report_waiting_s"]
    if every_s:
        waiting_jobs.watch(Path.cwd(), every_s, logger.warning)


if SITES[0][1]["gpu_devices"]:
    # What a user has set in the shell stands.
    os.environ.setdefault(gpu_locks.DEVICES, str(SITES[0][1]["gpu_devices"]))
