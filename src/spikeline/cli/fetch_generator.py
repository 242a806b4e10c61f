r"""Fetch a diffusion pipeline from a folder or the Hugging Face hub, its safetensors alone.

A step of its own, because the node that draws may have no network.

Example:
    spikeline fetch-generator \
      --settings '{"model": "stable-diffusion-v1-5/stable-diffusion-v1-5", "variant": "fp16"}' \
      --output resources/generators/sd15
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from spikeline.artifacts import provenance
from spikeline.artifacts.files import atomic_folder
from spikeline.cli._options import add_settings, settings_of, start_log
from spikeline.errors import InputError

IP_ADAPTER = "ip_adapter.safetensors"
_READ = ("*.json", "*.txt", "*.safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, "fetch-generator")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the pipeline")


def run(options: argparse.Namespace) -> None:
    from spikeline.bridge.generators.pipelines import check_folder

    start_log()
    settings = settings_of(options, "fetch-generator")
    with atomic_folder(options.output) as folder:
        source = _fetched(settings)
        for path in sorted(source.rglob("*")):
            if path.is_file() and any(path.match(pattern) for pattern in _READ):
                target = folder / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        check_folder(folder)
        if settings["ip_adapter"]:
            shutil.copyfile(_fetched_adapter(settings["ip_adapter"]), folder / IP_ADAPTER)
        origin = {"name": f"diffusers:{settings['model']}", **settings}
        record = provenance.describe(__name__, settings, origin=origin, encoder=None)
        provenance.write_beside(folder, record)


def _fetched_adapter(location: str) -> Path:
    """The file of an IP-Adapter, here or as OWNER/NAME/FILE on the hub.

    Raises:
        InputError: no such file, and the hub does not give it.
    """
    local = Path(location).expanduser()
    if local.is_file():
        return local
    from huggingface_hub import hf_hub_download

    owner, _, rest = location.partition("/")
    name, _, file = rest.partition("/")
    try:
        return Path(hf_hub_download(f"{owner}/{name}", file))
    except Exception as error:  # as below
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{location}: is no file, and the Hugging Face hub does not give it ({reason}); "
            "download it where there is a network and name the file as ip_adapter"
        ) from None


def _fetched(settings: dict) -> Path:
    """A folder that holds the pipeline.

    Raises:
        InputError: no such folder, or the hub does not give it.
    """
    local = Path(settings["model"]).expanduser()
    if local.is_dir():
        return local
    from huggingface_hub import snapshot_download

    variant = settings["variant"]
    weights = f"*.{variant}.safetensors" if variant else "*.safetensors"
    try:
        found = snapshot_download(
            settings["model"],
            revision=settings["revision"],
            allow_patterns=["*.json", "*.txt", weights],
        )
    except Exception as error:  # the hub's client raises whatever the network raised
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{settings['model']}: is no folder, and the Hugging Face hub does not give it "
            f"({reason}); download it where there is a network (hf download "
            f"{settings['model']} --local-dir FOLDER) and name FOLDER as the generator's model"
        ) from None
    return Path(found)
