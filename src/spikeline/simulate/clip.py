"""A tiny CLIP for the demo: open_clip's own classes, trained on simulated images and captions."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save
from torch.nn import functional

from spikeline.bridge.images import what_and_where
from spikeline.training.device import mixed_precision

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class ClipSettings:
    """Size and training of the tiny CLIP; the schema (`encoders`, kind demo_clip) describes each
    key, with its unit, range and default."""

    seed: int
    image_size: int
    embed_dim: int
    vision: str
    vision_width: int
    text_width: int
    text_layers: int
    context_length: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    shift: int
    word_weight: float


def open_clip_config(settings: ClipSettings) -> dict[str, Any]:
    """Content of open_clip_config.json: the model and the preprocessing of its images."""
    return {
        "model_cfg": {
            "embed_dim": settings.embed_dim,
            "vision_cfg": {"image_size": settings.image_size, **_image_tower(settings)},
            "text_cfg": {
                "context_length": settings.context_length,
                "vocab_size": 49408,
                "width": settings.text_width,
                "heads": max(1, settings.text_width // 16),
                "layers": settings.text_layers,
            },
        },
        "preprocess_cfg": {
            "size": settings.image_size,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def _image_tower(settings: ClipSettings) -> dict[str, Any]:
    width = settings.vision_width
    if settings.vision == "residual":
        return {"layers": [1, 1, 1, 1], "width": width, "head_width": 64}
    # Without a pooling or a projection of open_clip's: the network ends in the embedding.
    return {
        "timm_model_name": what_and_where.name_of(width),
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "",
    }


def preprocess(images: Iterable[Image.Image], count: int, settings: ClipSettings) -> torch.Tensor:
    """Images as the saved model's own preprocessing delivers them: (count, 3, size, size) float32.

    They are taken one by one: 25,000 of 64 pixels are 1.2 GB, and no second copy is held.
    """
    config = PreprocessCfg(**open_clip_config(settings)["preprocess_cfg"])
    transform = image_transform_v2(config, is_train=False)
    found = torch.empty(count, 3, settings.image_size, settings.image_size)
    for place, image in zip(found, images, strict=True):
        place.copy_(transform(image))
    return found


class _Words(torch.nn.Module):
    """Cross-entropy of the words of captions, weighted by how rare they are, given embeddings.

    Args:
        tokens: (n, length) of all captions, numbered from 0.
        dim: of the embeddings.
    """

    def __init__(self, tokens: torch.Tensor, dim: int):
        super().__init__()
        said = torch.zeros(len(tokens), int(tokens.max()) + 1, device=tokens.device)
        said.scatter_(1, tokens, 1.0)
        # Words of every caption, and those that only frame one, tell nothing: their weight is 0.
        said *= -said.mean(0).log()
        self.register_buffer("shares", said / said.sum(1, keepdim=True).clamp_min(1e-12))
        self.readout = torch.nn.Linear(dim, said.shape[1])

    def forward(self, embedded: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Mean over the images (batch, dim) whose captions are `rows` (batch,)."""
        logs = functional.log_softmax(self.readout(embedded), dim=1)
        return -(self.shares[rows] * logs).sum(1).mean()


def _shifted(images: torch.Tensor, shift: int, generator: torch.Generator) -> torch.Tensor:
    """Each image displaced by up to `shift` pixels, its border repeated."""
    if shift == 0:
        return images
    size = images.shape[-1]
    padded = functional.pad(images, (shift,) * 4, mode="replicate")
    offsets = torch.randint(2 * shift + 1, (len(images), 2), generator=generator).tolist()
    crops = zip(padded, offsets, strict=True)
    return torch.stack([image[:, y : y + size, x : x + size] for image, (y, x) in crops])


def train_clip(
    images: torch.Tensor,
    captions: Sequence[str],
    settings: ClipSettings,
    device: torch.device = _CPU,
    progress: Callable[[int, float], None] | None = None,
) -> open_clip.CLIP:
    """Train on pairs of images and captions with the symmetric contrastive loss.

    Args:
        images: (n, 3, image_size, image_size) as `preprocess` gives them.
        captions: n sentences; image k shows what sentence k says.
        device: where to train; a GPU that can runs the forward pass in bfloat16.
        progress: called after each epoch with its number and mean loss.

    Returns:
        The model on the CPU, in evaluation mode, with open_clip's whole vocabulary.

    Formula: InfoNCE in both directions with a learned temperature (Radford et al. 2021). With
    `word_weight` the image's embedding also predicts, by a linear map that is thrown away, which
    words its caption holds, the rarer the more (Huang et al. 2024, SuperClass): contrast alone
    learns the few factors that tell the images of a batch apart, and leaves out the rest.
    """
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    model = open_clip.CLIP(**open_clip_config(settings)["model_cfg"])
    tokenizer = open_clip.SimpleTokenizer(context_length=settings.context_length)
    tokens = tokenizer(list(captions))
    # Of 49,408 tokens the captions use a few dozen. Only their rows of the token table are
    # trained; sorted ids keep the end-of-text token the highest, which CLIP's pooling needs.
    used, tokens = torch.unique(tokens, return_inverse=True)
    whole = model.token_embedding
    model.token_embedding = torch.nn.Embedding.from_pretrained(whole.weight[used], freeze=False)
    # Channels last: a third faster on CPU.
    model.to(device, memory_format=torch.channels_last).train()
    images, tokens = images.to(device), tokens.to(device)

    batches = max(1, len(images) // settings.batch_size)
    steps = batches * settings.epochs
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    words = _Words(tokens, settings.embed_dim).to(device) if settings.word_weight else None
    if words is not None:
        others += words.readout.parameters()
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps, pct_start=0.1
    )
    contrastive = open_clip.ClipLoss()
    for epoch in range(settings.epochs):
        total = 0.0
        order = torch.randperm(len(images), generator=generator)
        for rows in torch.tensor_split(order, batches):
            rows = rows.to(device)
            with mixed_precision(device):
                batch = _shifted(images[rows], settings.shift, generator)
                batch = batch.contiguous(memory_format=torch.channels_last)
                embedded = model.encode_image(batch)
                text_features = model.encode_text(tokens[rows], normalize=True)
            image_features = functional.normalize(embedded.float(), dim=-1)
            loss = contrastive(image_features, text_features.float(), model.logit_scale.exp())
            if words is not None:
                loss = loss + settings.word_weight * words(embedded.float(), rows)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, np.log(100))
            total += loss.item()
        if progress is not None:
            progress(epoch + 1, total / batches)
    _settle_statistics(model, images, settings.batch_size)
    model.to("cpu", memory_format=torch.contiguous_format).eval()
    with torch.no_grad():
        whole.weight.zero_()
        whole.weight[used] = model.token_embedding.weight
    model.token_embedding = whole
    return model


@torch.no_grad()
def _settle_statistics(model: open_clip.CLIP, images: torch.Tensor, batch_size: int) -> None:
    """Batch normalisation's running means lag behind a short training: take them afresh."""
    layers = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
    for batch in images.split(batch_size):
        model.encode_image(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


@torch.inference_mode()
def image_to_caption(
    model: open_clip.CLIP, images: torch.Tensor, captions: Sequence[str], settings: ClipSettings
) -> float:
    """Share of images whose own caption is the most similar of all `captions`."""
    tokenizer = open_clip.SimpleTokenizer(context_length=settings.context_length)
    image_features = model.encode_image(images, normalize=True)
    text_features = model.encode_text(tokenizer(list(captions)), normalize=True)
    nearest = (image_features @ text_features.T).argmax(dim=1)
    return float((nearest == torch.arange(len(images))).float().mean())


def save_clip(model: open_clip.CLIP, settings: ClipSettings, folder: Path) -> None:
    """Write open_clip's local-dir format into `folder`, which must exist."""
    config = open_clip_config(settings) | {"spikeline": {"settings": asdict(settings)}}
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    (folder / "open_clip_model.safetensors").write_bytes(save(weights))
