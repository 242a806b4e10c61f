# The workflow and its pinned stack (envs/workflow.txt) as a container; `make demo` without a GPU:
#
#   docker build --tag spikeline .
#   docker run --rm --volume "$PWD/runs:/runs" spikeline --directory /runs/demo \
#     --cores all --resources gpu=1 -- results/ablation_regions.tsv
#
# Add `--gpus all` for a GPU. Apptainer builds from the same image:
#   apptainer build spikeline.sif docker-daemon://spikeline:latest
FROM python:3.11-slim-bookworm

# git: DataLad clones with it.
RUN apt-get update && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /spikeline

# The stack, in a layer of its own: it is built anew only where a pin changes.
COPY Makefile pyproject.toml README.md LICENSE ./
COPY envs envs
COPY src src
RUN make .venv/.built-from && .venv/bin/uv cache clean

COPY Snakefile ./
COPY workflow workflow
COPY rules rules
COPY config config
COPY profiles profiles

ENV PATH="/spikeline/.venv/bin:$PATH"
ENTRYPOINT ["snakemake", "--snakefile", "/spikeline/Snakefile"]
CMD ["--help"]
