"""Counted operations of drawing with Stable Diffusion: teraflops an image, hours of a table.

    python benchmarks/drawing_operations.py [--teraflops 40] [--images 4000] [--encoded 22248]

Networks are built without weights, on torch's meta device, and counted by torch's own counter (two
operations for a multiply-add). --teraflops is what a card does in half precision in practice;
--images are drawn, with guidance; --encoded are encoded to latents once.
"""

from __future__ import annotations

import argparse

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

# As their published configs: side of the images, width of the text states, attention heads.
PIPELINES = {
    "Stable Diffusion 1.5": (512, 768, 8, {}),
    "Stable Diffusion 2.1 unCLIP": (
        768,
        1024,
        [5, 10, 20, 20],
        {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048},
    ),
}
TOKENS, EMBEDDING = 77, 1024


def operations(module: torch.nn.Module, *inputs: torch.Tensor, **more: torch.Tensor) -> float:
    """Teraflops of one call."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs, **more)
    return counter.get_total_flops() / 1e12


def counted(side: int, text: int, heads: int | list[int], classes: dict) -> dict[str, float]:
    """Teraflops of a step of the U-Net, of encoding an image and of decoding one."""
    latent = side // 8
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=latent,
            cross_attention_dim=text,
            attention_head_dim=heads,
            block_out_channels=(320, 640, 1280, 1280),
            use_linear_projection=bool(classes),
            **classes,
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
        )
        told = {"encoder_hidden_states": torch.zeros(1, TOKENS, text)}
        if classes:
            told["class_labels"] = torch.zeros(1, 2 * EMBEDDING)
        latents = torch.zeros(1, 4, latent, latent)
        return {
            "step": operations(unet, latents, torch.zeros(1), **told),
            "encode": operations(vae.encoder, torch.zeros(1, 3, side, side)),
            "decode": operations(vae.decoder, latents),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--teraflops", type=float, default=40, help="of the card, per second (40)")
    parser.add_argument("--steps", type=int, default=20, help="of the sampler (20)")
    parser.add_argument("--images", type=int, default=4000, help="drawn (4000)")
    parser.add_argument("--encoded", type=int, default=22_248, help="to latents (22248)")
    options = parser.parse_args()
    for name, sizes in PIPELINES.items():
        found = counted(*sizes)
        drawn = 2 * options.steps * found["step"] + found["decode"]
        hours = drawn * options.images / options.teraflops / 3600
        encoding = found["encode"] * options.encoded / options.teraflops / 3600
        print(f"{name}: {found['step']:.2f} teraflops a step, {drawn:.0f} an image")
        print(
            f"    {options.images} images {hours:.1f} h, {options.encoded} latents {encoding:.1f} h"
        )


if __name__ == "__main__":
    main()
