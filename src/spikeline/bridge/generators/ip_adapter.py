"""An IP-Adapter: image embeddings for a pipeline that was made for text (Ye et al. 2023).

An embedding becomes four tokens, which every cross-attention reads with keys and values of its own,
next to those of the text. Only these are trained; the U-Net stays as it is. Files are those of
diffusers and of the published adapters.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.embeddings import ImageProjection
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from spikeline.artifacts.formats import safetensors_file
from spikeline.bridge.generators.denoising import denoising_error, frozen_unet
from spikeline.bridge.generators.sampling import Conditions, checked, empty_states
from spikeline.bridge.networks.batches import ShuffledRows
from spikeline.errors import InputError
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import fingerprint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile

CONTRACT = "ip_adapter/1"
# Of one embedding; diffusers takes any plain adapter to have so many.
TOKENS = 4
_PROJECTION = "image_proj.proj.weight"


def train_ip_adapter(
    pipeline: StableDiffusionPipeline,
    latents: np.ndarray,
    embeddings: np.ndarray,
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
) -> tuple[dict[str, np.ndarray], list[dict]]:
    """Train on the latents and embeddings of images, with the empty prompt.

    Args:
        pipeline: of text; it ends with the adapter in its U-Net, on the CPU.
        latents: (images, channels, height, width) float32, scaled.
        embeddings: (images, dim) float32, as the encoder gives them.
        settings: condition_dropout; noise_std, of the noise on embeddings in standard deviations
            of each dimension; noise_emphasis, see `random_steps`; epochs, batch_size,
            learning_rate, weight_decay, warmup_epochs.
        seed: of initial weights, the order of images, noise and what is left out.
        fabric, state_file: see `spikeline.training.loop.train`.

    Returns:
        The adapter's arrays, as `save` takes them, and one history row per epoch.
    """
    device = fabric.device
    empty = empty_states(pipeline).to(device)
    unet, scheduler = frozen_unet(pipeline, device)
    torch.manual_seed(2 * seed)
    _install(unet, _initial(unet, embeddings.shape[1]))
    parts = _parts(unet).to(device).requires_grad_(True)
    # The projection learns on standardised embeddings, and takes raw ones once it has learnt.
    mean, std = embeddings.mean(0), embeddings.std(0)
    std = np.where(std > 0, std, 1).astype(np.float32)
    told = torch.from_numpy((embeddings - mean) / std).to(device)
    untold = torch.from_numpy(-mean / std).to(device)
    clean = torch.from_numpy(latents).to(device)
    rows = [torch.arange(len(clean), device=device)]
    batches = ShuffledRows(rows, settings["batch_size"], 2 * seed + 1, fabric.world_size)

    def loss(number: int) -> Tensor:
        chosen = batches(number)[0]
        shown = told[chosen]
        shown = shown + settings["noise_std"] * torch.randn_like(shown)
        dropped = torch.rand(len(shown), device=device) < settings["condition_dropout"]
        shown = torch.where(dropped[:, None], untold, shown)
        conditions = {
            "encoder_hidden_states": empty.expand(len(shown), -1, -1),
            "added_cond_kwargs": {"image_embeds": [shown[:, None]]},
        }
        emphasis = settings["noise_emphasis"]
        return denoising_error(unet, scheduler, clean[chosen], conditions, emphasis)[None]

    history = train(
        parts,
        loss,
        Schedule.of({**settings, "patience": 0}, batches.steps),
        fabric=fabric,
        seed=2 * seed + 1,
        state_file=state_file,
        fingerprint=fingerprint(
            [dict(settings), seed], latents, embeddings, unet.conv_in.weight, empty
        ),
    )
    unet.to("cpu")
    with torch.no_grad():
        linear = parts.projection.image_embeds
        linear.weight.div_(torch.from_numpy(std))
        linear.bias.sub_(linear.weight @ torch.from_numpy(mean))
    return _arrays(parts), history


def save(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    description: Mapping[str, Any],
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write safetensors that `pipeline.load_ip_adapter` reads, with a description as JSON."""
    safetensors_file.write(path, CONTRACT, arrays, description, record)


def load_ip_adapter(
    pipeline: StableDiffusionPipeline, path: str | os.PathLike[str], scale: float = 1.0
) -> None:
    """Put an adapter into a pipeline's U-Net.

    Args:
        path: a file that `save` made, or one that was published, such as ip-adapter_sd15.
        scale: weight of what the image tokens say next to the text's.

    Raises:
        InputError: a pickled or damaged file, an adapter of another kind, or of another U-Net.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(
            f"{path}: pickled weights can run code and are not read; take the .safetensors file "
            "of the same adapter, or convert it on a machine you trust: torch.load it there with "
            "weights_only=True and write {part.name: tensor} with safetensors.torch.save_file"
        )
    try:
        with safe_open(path, framework="pt") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read ({reason}); make or fetch it again") from None
    if _PROJECTION not in arrays:
        raise InputError(
            f"{path}: holds no {_PROJECTION}, so it is no plain IP-Adapter; those that read a "
            "whole grid of tokens (plus, full face) or faces cannot be used"
        )
    _check_fits(pipeline.unet, arrays, path)
    _install(pipeline.unet, arrays)
    pipeline.set_ip_adapter_scale(scale)


def ip_adapter_conditions(pipeline: StableDiffusionPipeline, embeddings: np.ndarray) -> Conditions:
    """Of a pipeline with an adapter: image embeddings (n, dim) and the empty prompt.

    Raises:
        InputError: no adapter is loaded, or embeddings of another length or not finite.
    """
    if pipeline.unet.encoder_hid_proj is None:
        raise InputError("the generator has no IP-Adapter, which tells it an image embedding")
    expected = _projection(pipeline.unet).image_embeds.in_features
    told = torch.from_numpy(checked(embeddings, expected))[:, None]
    states = empty_states(pipeline).expand(len(told), -1, -1)
    return Conditions(
        {"image_embeds": told, "encoder_hidden_states": states},
        {"image_embeds": torch.zeros_like(told), "encoder_hidden_states": states},
    )


class _Parts(nn.Module):
    """What is trained of a U-Net with an adapter."""

    def __init__(self, projection: ImageProjection, attention: list[nn.Module]):
        super().__init__()
        self.projection, self.attention = projection, nn.ModuleList(attention)


def _parts(unet: UNet2DConditionModel) -> _Parts:
    return _Parts(_projection(unet), [attention.processor for attention in _attentions(unet)])


def _projection(unet: UNet2DConditionModel) -> ImageProjection:
    return unet.encoder_hid_proj.image_projection_layers[0]


def _attentions(unet: UNet2DConditionModel) -> list[nn.Module]:
    """The cross-attentions, in the order in which an adapter's file numbers them."""
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    return [unet.get_submodule(name.removesuffix(".processor")) for name in names]


def _number(index: int) -> int:
    """How a file numbers a cross-attention: a self-attention lies before each."""
    return 2 * index + 1


def _initial(unet: UNet2DConditionModel, dim: int) -> dict[str, Tensor]:
    """An untrained adapter: attention begins with the text's keys and values."""
    projection = ImageProjection(dim, unet.config.cross_attention_dim, TOKENS)
    arrays = {
        f"image_proj.{name.replace('image_embeds', 'proj')}": value
        for name, value in projection.state_dict().items()
    }
    for index, attention in enumerate(_attentions(unet)):
        for part in ("to_k", "to_v"):
            weight = getattr(attention, part).weight.detach().clone()
            arrays[f"ip_adapter.{_number(index)}.{part}_ip.weight"] = weight
    return arrays


def _install(unet: UNet2DConditionModel, arrays: Mapping[str, Tensor]) -> None:
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, value in arrays.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    unet._load_ip_adapter_weights(parts, low_cpu_mem_usage=False)


def _arrays(parts: _Parts) -> dict[str, np.ndarray]:
    """By the names of a file."""
    arrays = {
        f"image_proj.{name.replace('image_embeds', 'proj')}": value
        for name, value in parts.projection.state_dict().items()
    }
    for index, processor in enumerate(parts.attention):
        for part in ("to_k_ip", "to_v_ip"):
            arrays[f"ip_adapter.{_number(index)}.{part}.weight"] = getattr(processor, part)[
                0
            ].weight
    return {name: value.detach().cpu().numpy() for name, value in arrays.items()}


def _check_fits(unet: UNet2DConditionModel, arrays: Mapping[str, Tensor], path: Path) -> None:
    dim = arrays[_PROJECTION].shape[1]
    expected = {_PROJECTION: (TOKENS * unet.config.cross_attention_dim, dim)}
    for index, attention in enumerate(_attentions(unet)):
        for part in ("to_k", "to_v"):
            name = f"ip_adapter.{_number(index)}.{part}_ip.weight"
            expected[name] = tuple(getattr(attention, part).weight.shape)
    for name, shape in expected.items():
        found = tuple(arrays[name].shape) if name in arrays else None
        if found != shape:
            raise InputError(
                f"{path}: its {name} has shape {found}, and the generator's U-Net takes {shape}; "
                "use the adapter that was made for this generator"
            )
