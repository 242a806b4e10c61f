"""The text tower of a CLIP as a text encoder of diffusion pipelines, with its tokenizer.

The same weights under the names of transformers: a pipeline that holds them is saved and loaded as
Stable Diffusion is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import AddedToken, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from spikeline.bridge.generators.pipelines import check_safetensors
from spikeline.errors import InputError

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
# Of open_clip's own sizes, where a config leaves them out.
_SIZES = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
# What makes a text tower another network than transformers' CLIPTextModel.
_FOREIGN = ("hf_model_name", "hf_tokenizer_name", "no_causal_mask", "embed_cls", "tokenizer_kwargs")
# (open_clip's name, transformers' name) of the parts of a layer but its attention's input.
_PARTS = (
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("attn.out_proj", "self_attn.out_proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
)


def from_clip(folder: str | os.PathLike[str]) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """The text encoder and the tokenizer of a CLIP in open_clip's local-dir format.

    Raises:
        InputError: no such folder, a damaged one, or a text tower of another kind.
    """
    folder = Path(folder)
    model, weights = _config(folder), _weights(folder)
    sizes = {**_SIZES, **model["text_cfg"]}
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=sizes["vocab_size"],
            hidden_size=sizes["width"],
            intermediate_size=int(sizes["width"] * sizes.get("mlp_ratio", 4)),
            projection_dim=model["embed_dim"],
            num_hidden_layers=sizes["layers"],
            num_attention_heads=sizes["heads"],
            max_position_embeddings=sizes["context_length"],
            hidden_act="quick_gelu" if model.get("quick_gelu") else "gelu",
        )
    )
    try:
        encoder.load_state_dict(_renamed(weights, sizes["layers"]))
    except (KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{folder / WEIGHTS}: holds no text tower of the config beside it ({reason}); "
            "make it again"
        ) from None
    return encoder.eval(), tokenizer_of(sizes["context_length"])


def tokenizer_of(context_length: int) -> CLIPTokenizer:
    """CLIP's tokenizer with open_clip's vocabulary, and as open_clip padded with token 0.

    Token 0 is "!", as in the tokenizer of Stable Diffusion 2; so an exclamation mark counts as
    punctuation only where it follows a word.
    """
    own = SimpleTokenizer()
    ends = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    return CLIPTokenizer(
        vocab={ends.get(name, name): number for name, number in own.encoder.items()},
        merges=list(own.bpe_ranks),
        pad_token=AddedToken("!", single_word=True, normalized=False, special=True),
        model_max_length=context_length,
    )


def of_pipeline(folder: str | os.PathLike[str]) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """The text encoder, in full precision, and the tokenizer of a pipeline's folder.

    Raises:
        InputError: a part is missing, damaged or pickled.
    """
    folder = Path(folder)
    for part, what in (("tokenizer", "tokenizer"), ("text_encoder", "text encoder")):
        if not (folder / part).is_dir():
            raise InputError(
                f"{folder}: its prompt {what} is missing (folder {part}); fetch or train a "
                "pipeline that is conditioned on text"
            )
    check_safetensors(folder / "text_encoder")
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer")
        encoder = CLIPTextModel.from_pretrained(
            folder, subfolder="text_encoder", use_safetensors=True, dtype=torch.float32
        )
    except Exception as error:  # transformers raises whatever its parts and the disk raised
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{folder}: its text encoder cannot be loaded ({reason}); fetch or train it again"
        ) from None
    if len(tokenizer) < encoder.config.vocab_size:
        # Without its files transformers makes one of three tokens, and no error.
        raise InputError(
            f"{folder}: its prompt tokenizer is missing: {len(tokenizer)} tokens for the "
            f"{encoder.config.vocab_size} of the text encoder; fetch or train it again"
        )
    return encoder.eval(), tokenizer


def identity(encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> str:
    """The same for the same weights and length of prompts, from whichever folder they come."""
    digest = hashlib.sha256(str(tokenizer.model_max_length).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.float().cpu().contiguous().numpy().data)
    return f"text-encoder:{digest.hexdigest()[:12]}"


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        model = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_cfg"]
        text = model["text_cfg"]
    except FileNotFoundError:
        raise InputError(
            f"{folder}: holds no {CONFIG}, so it is no CLIP of open_clip's local-dir format"
        ) from None
    except (ValueError, LookupError, TypeError):
        raise InputError(f"{folder / CONFIG}: is damaged; make it again") from None
    foreign = [name for name in _FOREIGN if text.get(name)]
    if foreign:
        raise InputError(
            f"{folder}: its text tower is none of the original CLIP ({foreign[0]}), which a "
            "pipeline's text encoder has to be; use another CLIP"
        )
    return model


def _weights(folder: Path) -> dict[str, Tensor]:
    """The text tower's, by open_clip's names."""
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            return {
                name.removeprefix("text."): file.get_tensor(name).float()
                for name in file.keys()  # noqa: SIM118
                if not name.startswith("visual.")
            }
    except (OSError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{folder / WEIGHTS}: cannot be read ({reason}); make it again") from None


def _renamed(weights: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """By transformers' names."""
    named = {
        "embeddings.token_embedding.weight": weights["token_embedding.weight"],
        "embeddings.position_embedding.weight": weights["positional_embedding"],
    }
    for kind in ("weight", "bias"):
        named[f"final_layer_norm.{kind}"] = weights[f"ln_final.{kind}"]
        for layer in range(layers):
            old, new = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
            for its, theirs in _PARTS:
                named[f"{new}.{theirs}.{kind}"] = weights[f"{old}.{its}.{kind}"]
            # Queries, keys and values are one matrix there.
            parts = weights[f"{old}.attn.in_proj_{kind}"].chunk(3)
            for letter, part in zip("qkv", parts, strict=True):
                named[f"{new}.self_attn.{letter}_proj.{kind}"] = part.clone()
    return named
