"""The DiffusionAdapter: an image embedding becomes the text states that a U-Net attends to.

Learned queries, one for each token of a prompt, attend to the projected embedding and then to each
other. It is trained on what the generator consumes, the states of the image's caption and the error
at denoising the image's latents, from embeddings as they are decoded: those of training rows by
models that were fitted without them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor, nn

from spikeline.artifacts.formats import safetensors_file
from spikeline.artifacts.images.prompts import Prompts
from spikeline.bridge.generators.denoising import denoising_error, frozen_unet
from spikeline.bridge.generators.sampling import checked
from spikeline.bridge.networks.batches import ShuffledRows
from spikeline.errors import InputError
from spikeline.training.loop import train
from spikeline.training.schedule import Schedule
from spikeline.training.state import fingerprint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from spikeline.training.state import StateFile

CONTRACT = "diffusion_adapter/1"
SIZES = ("context_tokens", "heads", "layers", "dropout")


class DiffusionAdapter(nn.Module):
    """From embeddings (n, embedding_dim) to states (n, tokens, dim).

    Args:
        embedding_dim, tokens, dim: of embeddings and of states.
        context_tokens: an embedding is projected to so many tokens, to which the queries attend.
        heads, layers, dropout: of attention; layers that refine the tokens by self-attention.

    Attributes:
        mean, std: (embedding_dim,) of the embeddings it was trained on.
        usual: (tokens, dim) the mean states, which the network's output is added to.
    """

    def __init__(
        self,
        embedding_dim: int,
        tokens: int,
        dim: int,
        *,
        context_tokens: int,
        heads: int,
        layers: int,
        dropout: float,
    ):
        super().__init__()
        self.register_buffer("mean", torch.zeros(embedding_dim))
        self.register_buffer("std", torch.ones(embedding_dim))
        self.register_buffer("usual", torch.zeros(tokens, dim))
        self.query_emb = nn.Parameter(torch.randn(tokens, dim) * dim**-0.5)
        self.project = nn.Linear(embedding_dim, context_tokens * dim)
        self.attend = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        layer = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.refine = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        dim = self.usual.shape[1]
        context = self.project((embeddings - self.mean) / self.std).unflatten(1, (-1, dim))
        queries = self.query_emb.expand(len(embeddings), -1, -1)
        tokens = queries + self.attend(queries, context, context, need_weights=False)[0]
        return self.usual + self.refine(tokens)


def train_adapter(
    pipeline: StableDiffusionPipeline,
    embeddings: np.ndarray,
    latents: np.ndarray,
    prompts: Prompts,
    prompt: np.ndarray,
    settings: Mapping[str, Any],
    *,
    seed: int,
    fabric: Fabric,
    state_file: StateFile | None = None,
) -> tuple[DiffusionAdapter, list[dict]]:
    """Train an adapter for a text pipeline, whose U-Net stays as it is.

    Args:
        embeddings: (rows, embedding_dim) float32, predicted for each row by a model that was fitted
            without it; never those of the images.
        latents: (rows, channels, height, width) float32, scaled, of the rows' images.
        prompts: encoded by the pipeline's text encoder.
        prompt: (rows,) which of them is a row's, see `Prompts.rows_of`.
        settings: those of `SIZES`; states_weight and denoising_weight of the two losses;
            noise_emphasis, see `random_steps`; epochs, batch_size, learning_rate, weight_decay,
            warmup_epochs.
        seed: of initial weights, the order of rows and noise.
        fabric, state_file: see `spikeline.training.loop.train`.

    Returns:
        The adapter, on the CPU, and one history row per epoch.

    Loss: states_weight x the squared error of the states, as a share of their variance around
    their mean, + denoising_weight x the squared error of the U-Net's prediction.
    """
    device = fabric.device
    used, own = np.unique(prompt, return_inverse=True)
    states = torch.from_numpy(prompts.states[used].astype(np.float32)).to(device)
    own = torch.from_numpy(own).to(device)
    torch.manual_seed(2 * seed)
    sizes = {name: settings[name] for name in SIZES}
    adapter = DiffusionAdapter(embeddings.shape[1], *states.shape[1:], **sizes).to(device)
    shown = torch.from_numpy(np.asarray(embeddings, np.float32)).to(device)
    adapter.mean.copy_(shown.mean(0))
    adapter.std.copy_(torch.where(shown.std(0) > 0, shown.std(0), 1))
    share = torch.bincount(own, minlength=len(states)) / len(own)
    adapter.usual.copy_(torch.einsum("p,ptd->td", share, states))
    spread = torch.einsum("p,ptd->", share, (states - adapter.usual).square())
    variance = (spread / adapter.usual.numel()).clamp_min(1e-12)
    unet, scheduler = frozen_unet(pipeline, device)
    clean = torch.from_numpy(latents).to(device)
    rows = [torch.arange(len(clean), device=device)]
    batches = ShuffledRows(rows, settings["batch_size"], 2 * seed + 1, fabric.world_size)

    def loss(number: int) -> Tensor:
        chosen = batches(number)[0]
        drawn = adapter(shown[chosen])
        error = (drawn - states[own[chosen]]).square().mean() / variance
        total = settings["states_weight"] * error
        if settings["denoising_weight"]:
            told = {"encoder_hidden_states": drawn}
            emphasis = settings["noise_emphasis"]
            seen = denoising_error(unet, scheduler, clean[chosen], told, emphasis)
            total = total + settings["denoising_weight"] * seen
        return total[None]

    history = train(
        adapter,
        loss,
        Schedule.of({**settings, "patience": 0}, batches.steps),
        fabric=fabric,
        seed=2 * seed + 1,
        state_file=state_file,
        fingerprint=fingerprint(
            [dict(settings), seed], embeddings, latents, states, own, unet.conv_in.weight
        ),
    )
    return adapter.cpu().eval(), history


@torch.inference_mode()
def apply(adapter: DiffusionAdapter, embeddings: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """States (n, tokens, dim) float32 of embeddings (n, embedding_dim).

    Raises:
        InputError: embeddings of another length than it was trained on, or not finite.
    """
    values = torch.from_numpy(checked(embeddings, len(adapter.mean)))
    return torch.cat([adapter(part) for part in values.split(batch_size)]).numpy()


def save(
    path: str | os.PathLike[str],
    adapter: DiffusionAdapter,
    settings: Mapping[str, Any],
    description: Mapping[str, Any],
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write safetensors with its settings and a description, JSON."""
    arrays = {name: value.numpy() for name, value in adapter.state_dict().items()}
    described = {**description, "settings": dict(settings)}
    safetensors_file.write(path, CONTRACT, arrays, described, record)


def load(path: str | os.PathLike[str]) -> tuple[DiffusionAdapter, dict[str, Any]]:
    """What `save` wrote, and its description, settings among it.

    Raises:
        InputError: a damaged file, or one that is no DiffusionAdapter.
    """
    described, arrays = safetensors_file.read(path, CONTRACT)
    with safetensors_file.whole(path):
        sizes = {name: described["settings"][name] for name in SIZES}
        if sizes["layers"] != len({n.split(".")[2] for n in arrays if n.startswith("refine.")}):
            raise InputError(f"{path}: holds another number of layers than it says; make it again")
        adapter = DiffusionAdapter(len(arrays["mean"]), *arrays["usual"].shape, **sizes)
        adapter.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
    return adapter.eval(), described
