"""States of a text encoder for the captions of images, each distinct caption once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from spikeline.artifacts.images.prompts import Prompts
from spikeline.bridge.generators.text_encoder import identity


def encode_captions(
    images: np.ndarray,
    captions: np.ndarray,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    device: torch.device,
    batch_size: int = 256,
) -> Prompts:
    """States of the captions (n,) of images (n,), and of the empty prompt."""
    made_by = identity(encoder, tokenizer)
    distinct, prompt = np.unique(captions.astype(str), return_inverse=True)
    states = text_states(["", *distinct], encoder, tokenizer, device, batch_size)
    states = states.astype(np.float16)
    return Prompts(
        states[1:], distinct.astype(object), images, prompt.astype(np.int32), states[0], made_by
    )


@torch.inference_mode()
def text_states(
    prompts: Sequence[str],
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    device: torch.device,
    batch_size: int = 256,
) -> np.ndarray:
    """(prompts, tokens, dim) float32, as a pipeline of Stable Diffusion encodes them."""
    encoder.to(device)
    parts = []
    for start in tqdm(range(0, len(prompts), batch_size), desc="encode", mininterval=2):
        tokens = tokenizer(
            list(prompts[start : start + batch_size]),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        parts.append(encoder(tokens.to(device)).last_hidden_state.float().cpu().numpy())
    return np.concatenate(parts)
