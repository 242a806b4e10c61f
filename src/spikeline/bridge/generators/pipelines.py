"""Diffusion pipelines in folders: saved whole, loaded with what they lack, checked before use.

The demo's and Stable Diffusion's are of the same classes and come through the same code. Weights
are read from safetensors alone; a pickle can run code when it is opened.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableUnCLIPImg2ImgPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer

from spikeline.errors import InputError

logger = logging.getLogger(__name__)

INDEX = "model_index.json"
# By what a pipeline is conditioned on.
CLASSES = {"image": StableUnCLIPImg2ImgPipeline, "text": StableDiffusionPipeline}
# Schedulers that draw no noise of their own: the start decides the image.
SCHEDULERS = {
    "ddim": DDIMScheduler,
    "dpm": DPMSolverMultistepScheduler,
    "euler": EulerDiscreteScheduler,
    "unipc": UniPCMultistepScheduler,
}
_WEIGHTS = ("vae", "unet", "text_encoder", "image_normalizer")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")


def image_pipeline(
    autoencoder: AutoencoderKL,
    unet: UNet2DConditionModel,
    normaliser: StableUnCLIPImageNormalizer,
    noising: DDPMScheduler,
    scheduler: DDPMScheduler,
) -> StableUnCLIPImg2ImgPipeline:
    """A pipeline conditioned on image embeddings, without an encoder of images or of text."""
    return StableUnCLIPImg2ImgPipeline(
        feature_extractor=None,
        image_encoder=None,
        image_normalizer=normaliser,
        image_noising_scheduler=noising,
        tokenizer=None,
        text_encoder=None,
        unet=unet,
        scheduler=DDIMScheduler.from_config(scheduler.config),
        vae=autoencoder,
    )


def text_pipeline(
    autoencoder: AutoencoderKL,
    unet: UNet2DConditionModel,
    scheduler: DDPMScheduler,
    text_encoder: Any,
    tokenizer: Any,
) -> StableDiffusionPipeline:
    """A pipeline conditioned on text."""
    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        # The class wants an offset of 1, which trailing steps do not read.
        scheduler=DDIMScheduler.from_config(scheduler.config, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )


def load_pipeline(
    folder: str | os.PathLike[str],
    conditioning: str,
    *,
    scheduler: str,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    variant: str | None = None,
) -> DiffusionPipeline:
    """The pipeline of a folder, on a device.

    Args:
        folder: as `save_pretrained` or a download leaves it.
        conditioning: image or text, what the config says of it.
        scheduler: a name of `SCHEDULERS`; it takes the steps over from the pipeline's own.
        variant: of the weights' files, such as fp16.

    Raises:
        InputError: no pipeline, one of another conditioning, a part that is missing, or weights
            that are pickled.
    """
    folder = Path(folder)
    parts = check_folder(folder)
    expected = CLASSES[conditioning]
    if parts["_class_name"] not in (expected.__name__, *_relatives(conditioning)):
        raise InputError(
            f"{folder}: is a {parts['_class_name']}, which the config calls conditioned on "
            f"{conditioning}; expected {expected.__name__}"
        )
    absent = {
        name: None for name, part in parts.items() if isinstance(part, list) and part[0] is None
    }
    if "safety_checker" in parts:
        absent |= {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipeline = expected.from_pretrained(
            str(folder),
            dtype=dtype,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            **absent,
        )
    except Exception as error:  # diffusers raises whatever its parts and the disk raised
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{folder}: cannot be loaded ({reason}); fetch or train it again"
        ) from None
    pipeline.scheduler = SCHEDULERS[scheduler].from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def load_autoencoder(folder: str | os.PathLike[str]) -> AutoencoderKL:
    """The autoencoder of a folder, in full precision, on the CPU.

    Raises:
        InputError: no autoencoder of diffusers, or pickled weights.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: holds no config.json, so it is no autoencoder of diffusers")
    check_safetensors(folder)
    try:
        found = AutoencoderKL.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
    except Exception as error:  # as below
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: cannot be loaded ({reason}); make it again") from None
    return found.eval()


def check_folder(folder: Path) -> dict[str, Any]:
    """The index of a pipeline's folder.

    Raises:
        InputError: there is none, a part that it names is missing, or has only pickled weights.
    """
    try:
        parts = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder}: holds no {INDEX}, so it is no pipeline of diffusers; fetch it with "
            "snakemake, or name a folder that `save_pretrained` made"
        ) from None
    except ValueError:
        raise InputError(f"{folder / INDEX}: is damaged; fetch or train it again") from None
    for name, part in parts.items():
        if not isinstance(part, list) or part[0] is None or name == "safety_checker":
            continue
        if not (folder / name).is_dir():
            raise InputError(f"{folder}: its part {name} is missing; fetch or train it again")
        if name in _WEIGHTS:
            check_safetensors(folder / name)
    return parts


def check_safetensors(folder: Path) -> None:
    """Raise InputError where a part has no weights, or only pickled ones."""
    if any(folder.glob("*.safetensors")):
        return
    pickled = [path.name for path in sorted(folder.iterdir()) if path.suffix in _PICKLES]
    if pickled:
        raise InputError(
            f"{folder / pickled[0]}: pickled weights can run code and are not read; convert them "
            "on a machine you trust: load the part with diffusers or transformers there and save "
            "it with save_pretrained(FOLDER, safe_serialization=True)"
        )
    raise InputError(f"{folder}: holds no weights (*.safetensors); fetch or train it again")


def precision(device: torch.device) -> torch.dtype:
    """What weights are loaded in: bfloat16 or half precision on a GPU, full precision on a CPU."""
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _relatives(conditioning: str) -> tuple[str, ...]:
    """Other pipelines whose parts are the same."""
    if conditioning == "image":
        return ("StableUnCLIPPipeline",)
    return ("StableDiffusionImg2ImgPipeline",)
